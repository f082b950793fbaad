/* A fast way for steady streams: a placeholder, an empty module. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "tidegate.streams._relay",
    .m_doc = "Relays steady streams.",
    .m_size = 0,
};

PyMODINIT_FUNC
PyInit__relay(void)
{
    return PyModuleDef_Init(&definition);
}
