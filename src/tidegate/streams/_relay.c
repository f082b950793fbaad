/* The way of a delta through a steady stream, without the interpreter; see relay.py beside this for who uses it.

   A relay is the protocol of an upstream's transport while one frame after another differs in its text alone.
   It recognises such frames by their template, appends their events to the log as one record, and writes the
   frames that stand for them to the client: one read, one append, one write, as everywhere. A read that does
   not consist of such frames is handed to leave(), untouched, and that is the end of the relay. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "_relay.h"

typedef struct {
    PyObject_HEAD
    int file;                   /* a descriptor, or -1: records are kept in memory */
    unsigned long long size;    /* bytes in the file */
    unsigned long long limit;   /* from this size on a new file is begun, which is not done here */
    unsigned long long base;    /* what is added to an offset to make it a place */
    unsigned long long weight;  /* what an event counts beside its characters, where not bytes are counted but these */
} Tail;

static PyTypeObject TailType;

typedef struct {
    PyObject_HEAD
    Template pattern, event, frame;
    unsigned char key[16];
    uint32_t epoch;
    uint64_t seq, last;         /* of the last event, and of the last one that may be appended here */
    uint64_t count;             /* of the next frame, in renderings that number theirs */
    uint64_t room;              /* bytes, or weight, that the stream may still grow by */
    double began_at;            /* by the clock of ``now``, when the calendar said ``began_ms`` */
    uint64_t began_ms;
    int keeps;                  /* the text is wanted afterwards */
    Tail *tail;
    PyObject *write, *now;      /* the client's transport.write; seconds of a clock that never goes back */
    /* Since take() was last called: */
    uint64_t events, characters, bytes, writes;
    double last_at;
    size_t last_size;           /* of the last text in ``said`` */
    Buffer places, said, records;
} Relay;

/* What is made of one read. Used by one call at a time: whoever has the interpreter. */
static Buffer record, frames, literals;

/* What there is of a read so far. */
typedef struct {
    uint64_t events, characters;
    size_t last_size; /* of the last text among the literals */
} Made;

/* Add a chunk to record and frames; -1 when it is not for here. */
static int
add_chunk(const Relay *self, const char *at, const char *stop, Made *made)
{
    while (at < stop) {
        Found found;
        if ((at = recognise(&self->pattern, at, stop, &found, &made->characters)) == NULL)
            return -1;
        /* Renderings that must keep it out of a payload write it differently. */
        if (contains_data(quoted.bytes, quoted.size) || contains_data(found.word, found.word_size))
            return -1;
        if (put(&record, made->events ? "," : "[", 1) || compose(&record, &self->event, &found, 0, 0) ||
            compose(&frames, &self->frame, &found, 1, self->count + made->events) ||
            (self->keeps && put(&literals, found.text, found.text_size)))
            return -1;
        made->last_size = self->keeps ? found.text_size : 0;
        made->events++;
    }
    return 0;
}

/* Make record and frames of all that a read brought; without events when it is not for here. */
static Made
translate(const Relay *self, const char *at, const char *end)
{
    Made made = {0, 0, 0}, nothing = made;
    record.size = frames.size = literals.size = 0;
    if (reserve(&record, RECORD_HEAD) || reserve(&frames, CHUNK_HEAD))
        return nothing;
    record.size = RECORD_HEAD;
    frames.size = CHUNK_HEAD;
    while (at < end) {
        const char *stop, *payload = chunk(at, end, &stop);
        if (payload == NULL || add_chunk(self, payload, stop, &made))
            return nothing;
        at = stop + 2;
    }
    return put(&record, "]", 1) || put(&frames, "\r\n", 2) ? nothing : made;
}

/* Append the record to the log; -1 when that did not take it, or only a part. */
static int
append(Relay *self)
{
    Tail *tail = self->tail;
    if (tail->file < 0)
        return put(&self->records, record.bytes, record.size);
    ssize_t written = write(tail->file, record.bytes, record.size);
    if (written == (ssize_t)record.size)
        return 0;
    if (written > 0 && ftruncate(tail->file, tail->size) != 0)
        tail->size = tail->limit; /* nothing more may be written behind half a record */
    return -1;
}

static PyObject *
leave(Relay *self, PyObject *data)
{
    return PyObject_CallMethod((PyObject *)self, "leave", "O", data);
}

/* Seconds by the relay's clock; -1 and an exception when it has none. */
static double
seconds(PyObject *clock)
{
    PyObject *now = PyObject_CallNoArgs(clock);
    double value = now == NULL ? -1 : PyFloat_AsDouble(now);
    Py_XDECREF(now);
    return value;
}

/* data_received of asyncio's protocols. */
static PyObject *
relay_data_received(Relay *self, PyObject *data)
{
    if (!PyBytes_CheckExact(data) || self->now == NULL)
        return leave(self, data);
    /* The one thing from outside: whatever it does, it does before there is anything in the buffers. */
    double at_seconds = seconds(self->now);
    if (at_seconds == -1 && PyErr_Occurred())
        return NULL;
    const char *at = PyBytes_AS_STRING(data);
    Made made = translate(self, at, at + PyBytes_GET_SIZE(data));
    uint64_t events = made.events;
    Tail *tail = self->tail;
    if (events == 0 || self->write == NULL || self->seq + events > self->last || self->bytes >= self->room ||
        tail->size >= tail->limit)
        return leave(self, data);

    uint64_t at_ms = self->began_ms + (uint64_t)((at_seconds - self->began_at) * 1000);
    finish_record(&record, self->key, self->epoch, self->seq + 1, (uint32_t)events, at_ms);
    uint64_t place[2] = {tail->base + tail->size, self->seq + 1};
    size_t head = chunk_head(&frames);
    PyObject *out = PyBytes_FromStringAndSize(frames.bytes + head, frames.size - head);
    if (out == NULL)
        return NULL;
    if (reserve(&self->places, sizeof place) || reserve(&self->said, literals.size) || append(self) != 0) {
        Py_DECREF(out);
        return leave(self, data);
    }
    /* From here on it is said: nothing may fail before it is written. */
    if (tail->file >= 0)
        tail->size += record.size;
    put(&self->places, (const char *)place, sizeof place);
    put(&self->said, literals.bytes, literals.size);
    self->last_size = made.last_size;
    self->seq += events;
    self->count += events;
    self->events += events;
    self->characters += made.characters;
    self->bytes += tail->weight ? tail->weight * events + made.characters : record.size;
    self->writes++;
    self->last_at = at_seconds;

    /* Whoever has no room now may end this relay meanwhile: nothing of it is touched afterwards. */
    PyObject *write = Py_NewRef(self->write);
    PyObject *done = PyObject_CallOneArg(write, out);
    Py_DECREF(write);
    Py_DECREF(out);
    return done;
}

/* What passed since the last call, as a tuple; takes what the calendar says now, which may have been set. */
static PyObject *
relay_take(Relay *self, PyObject *now_ms)
{
    unsigned long long began_ms = PyLong_AsUnsignedLongLong(now_ms);
    double began_at = PyErr_Occurred() || self->now == NULL ? self->began_at : seconds(self->now);
    if (PyErr_Occurred())
        return NULL;
    const char *said = bytes_of(&self->said);
    PyObject *taken = Py_BuildValue(
        "KKKKdy#y#y#y#", (unsigned long long)self->events, (unsigned long long)self->characters,
        (unsigned long long)self->bytes, (unsigned long long)self->writes, self->last_at, bytes_of(&self->places),
        (Py_ssize_t)self->places.size, said, (Py_ssize_t)self->said.size, said + self->said.size - self->last_size,
        (Py_ssize_t)self->last_size, bytes_of(&self->records), (Py_ssize_t)self->records.size);
    if (taken != NULL) {
        self->events = self->characters = self->writes = 0;
        self->room -= self->bytes < self->room ? self->bytes : self->room;
        self->bytes = self->last_size = 0;
        release(&self->places);
        release(&self->said);
        release(&self->records);
        self->began_ms = began_ms;
        self->began_at = began_at;
    }
    return taken;
}

/* Also close(): let go of both connections. */
static int
relay_clear(Relay *self)
{
    Py_CLEAR(self->write);
    Py_CLEAR(self->now);
    return 0;
}

static int
relay_init(Relay *self, PyObject *args, PyObject *kwargs)
{
    relay_clear(self); /* nothing passes until all is known */
    static char *names[] = {"pattern", "event", "frame", "key",   "epoch", "seq",      "last",
                            "count",   "room",  "tail",  "write", "now",   "began_ms", "keeps", NULL};
    PyObject *pattern, *event, *frame, *tail, *write, *now;
    Py_buffer key;
    unsigned long long seq, last, count, room, began_ms;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "$O!O!O!y*IKKKKO!OOKp", names, &PyTuple_Type, &pattern, &PyTuple_Type,
                                     &event, &PyTuple_Type, &frame, &key, &self->epoch, &seq, &last, &count, &room,
                                     &TailType, &tail, &write, &now, &began_ms, &self->keeps))
        return -1;
    int right = key.len == sizeof self->key;
    if (right)
        memcpy(self->key, key.buf, sizeof self->key);
    else
        PyErr_SetString(PyExc_ValueError, "a key has 16 bytes");
    PyBuffer_Release(&key);
    if (!right || read_template(&self->pattern, pattern) || read_template(&self->event, event) ||
        read_template(&self->frame, frame))
        return -1;
    int words = check_pattern(&self->pattern);
    if (words < 0 || check_made(&self->event, words, 0) || check_made(&self->frame, words, 1))
        return -1;
    self->began_at = self->last_at = seconds(now);
    if (PyErr_Occurred())
        return -1;
    self->seq = seq;
    self->last = last;
    self->count = count;
    self->room = room;
    self->began_ms = began_ms;
    Py_XSETREF(self->tail, (Tail *)Py_NewRef(tail));
    Py_XSETREF(self->write, Py_NewRef(write));
    Py_XSETREF(self->now, Py_NewRef(now));
    return 0;
}

static int
relay_traverse(Relay *self, visitproc visit, void *arg)
{
    Py_VISIT(self->tail);
    Py_VISIT(self->write);
    Py_VISIT(self->now);
    return 0;
}

static PyObject *
relay_close(Relay *self, PyObject *Py_UNUSED(ignored))
{
    relay_clear(self);
    Py_RETURN_NONE;
}

static void
relay_dealloc(Relay *self)
{
    PyObject_GC_UnTrack(self);
    relay_clear(self);
    Py_CLEAR(self->tail);
    Template *templates[] = {&self->pattern, &self->event, &self->frame};
    for (int i = 0; i < 3; i++)
        PyMem_Free(templates[i]->piece);
    release(&self->places);
    release(&self->said);
    release(&self->records);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyMemberDef tail_members[] = {
    {"file", T_INT, offsetof(Tail, file), 0, NULL},
    {"size", T_ULONGLONG, offsetof(Tail, size), 0, NULL},
    {"limit", T_ULONGLONG, offsetof(Tail, limit), 0, NULL},
    {"base", T_ULONGLONG, offsetof(Tail, base), 0, NULL},
    {"weight", T_ULONGLONG, offsetof(Tail, weight), 0, NULL},
    {NULL},
};

static PyMemberDef relay_members[] = {
    {"seq", T_ULONGLONG, offsetof(Relay, seq), READONLY, NULL},
    {"events", T_ULONGLONG, offsetof(Relay, events), READONLY, NULL},
    {NULL},
};

static PyMethodDef relay_methods[] = {
    {"data_received", (PyCFunction)relay_data_received, METH_O, NULL},
    {"take", (PyCFunction)relay_take, METH_O, NULL},
    {"close", (PyCFunction)relay_close, METH_NOARGS, NULL},
    {NULL},
};

static PyTypeObject TailType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "tidegate.streams._relay.Tail",
    .tp_basicsize = sizeof(Tail),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = PyType_GenericNew,
    .tp_members = tail_members,
};

static PyTypeObject RelayType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "tidegate.streams._relay.Relay",
    .tp_basicsize = sizeof(Relay),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .tp_new = PyType_GenericNew,
    .tp_init = (initproc)relay_init,
    .tp_dealloc = (destructor)relay_dealloc,
    .tp_traverse = (traverseproc)relay_traverse,
    .tp_clear = (inquiry)relay_clear,
    .tp_members = relay_members,
    .tp_methods = relay_methods,
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, .m_name = "_relay", .m_doc = "Passes on the frames of steady streams.", .m_size = -1,
};

PyMODINIT_FUNC
PyInit__relay(void)
{
    make_checksums();
    PyObject *made = PyModule_Create(&module);
    if (made == NULL || PyModule_AddType(made, &TailType) < 0 || PyModule_AddType(made, &RelayType) < 0 ||
        PyModule_AddIntMacro(made, TEXT) < 0 || PyModule_AddIntMacro(made, WORD) < 0 ||
        PyModule_AddIntMacro(made, DIGITS) < 0 || PyModule_AddIntMacro(made, SPACES) < 0 ||
        PyModule_AddIntMacro(made, COUNT) < 0) {
        Py_XDECREF(made);
        return NULL;
    }
    return made;
}
