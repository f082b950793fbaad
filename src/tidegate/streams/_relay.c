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
} Tail;

typedef struct {
    PyObject_HEAD
    Template pattern, event, frame;
    unsigned char key[16];
    uint32_t epoch;
    uint64_t seq, last;         /* of the last event, and of the last one that may be appended here */
    uint64_t count;             /* of the next frame, in renderings that number theirs */
    uint64_t room;              /* bytes that the stream may still grow by */
    double began_at;            /* by the clock of ``now``, when the calendar said ``began_ms`` */
    uint64_t began_ms;
    int keeps;                  /* the text is wanted afterwards */
    Tail *tail;
    PyObject *write, *now;      /* the client's transport.write; seconds of a clock that never goes back */
    /* Since take() was last called: */
    uint64_t events, characters, bytes, writes;
    double last_at;
    Buffer places, said, records;
} Relay;

/* What is made of one read. Used by one call at a time: whoever has the interpreter. */
static Buffer record, frames, quoted, literals;

/* Recognise one frame at ``at`` by the relay's pattern; returns where it ends, NULL when it is another. */
static const char *
recognise(const Relay *self, const char *at, const char *end, Found *found, uint64_t *characters)
{
    const Template *pattern = &self->pattern;
    found->word = NULL;
    found->word_size = 0;
    for (size_t i = 0; i < pattern->pieces; i++) {
        const Piece *piece = &pattern->piece[i];
        const char *start = at;
        switch (piece->kind) {
        case FIXED:
            if ((size_t)(end - at) < piece->size || memcmp(at, pattern->bytes + piece->at, piece->size) != 0)
                return NULL;
            at += piece->size;
            break;
        case TEXT:
            found->quoted_at = quoted.size;
            at = quote_inside(&quoted, at, end, characters);
            if (at == NULL || at == start)
                return NULL;
            found->text = start;
            found->text_size = at - start;
            found->quoted_size = quoted.size - found->quoted_at;
            break;
        case WORD:
            at = skip_plain(at, end);
            found->word = start;
            found->word_size = at - start;
            break;
        case DIGITS:
            while (at < end && *at >= '0' && *at <= '9')
                at++;
            if (at == start)
                return NULL;
            break;
        case SPACES:
            while (at < end && *at == ' ')
                at++;
            break;
        default:
            return NULL;
        }
    }
    return at;
}

/* Make record and frames of a chunk; the number of its events, 0 when it is not for here. */
static uint64_t
translate_chunk(const Relay *self, const char *at, const char *stop, uint64_t before, uint64_t *characters)
{
    uint64_t events = 0;
    while (at < stop) {
        Found found;
        if ((at = recognise(self, at, stop, &found, characters)) == NULL)
            return 0;
        /* Renderings that must keep it out of a payload write it differently. */
        if (contains_data(quoted.bytes + found.quoted_at, found.quoted_size) ||
            contains_data(found.word, found.word_size))
            return 0;
        if (put(&record, before + events ? "," : "[", 1) || compose(&record, &self->event, &found, NULL, 0) ||
            compose(&frames, &self->frame, &found, &quoted, self->count + before + events) ||
            (self->keeps && put(&literals, found.text, found.text_size)))
            return 0;
        events++;
    }
    return events;
}

/* Make record and frames of the chunks at the beginning of a read that are for here; the number of their
   events, and in ``place`` where they end. */
static uint64_t
translate(const Relay *self, const char **place, const char *end, uint64_t *characters)
{
    uint64_t events = 0;
    record.size = frames.size = quoted.size = literals.size = 0;
    if (reserve(&record, RECORD_HEAD) || reserve(&frames, CHUNK_HEAD))
        return 0;
    record.size = RECORD_HEAD;
    frames.size = CHUNK_HEAD;
    while (*place < end) {
        const char *stop, *at = chunk(*place, end, &stop);
        size_t record_size = record.size, frames_size = frames.size, literals_size = literals.size;
        uint64_t more = 0, shown = *characters;
        if (at != NULL)
            more = translate_chunk(self, at, stop, events, &shown);
        if (more == 0) {
            record.size = record_size;
            frames.size = frames_size;
            literals.size = literals_size;
            break;
        }
        events += more;
        *characters = shown;
        *place = stop + 2;
    }
    return put(&record, "]", 1) || put(&frames, "\r\n", 2) ? 0 : events;
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

static PyTypeObject TailType;

static PyObject *
leave(Relay *self, PyObject *data)
{
    return PyObject_CallMethod((PyObject *)self, "leave", "O", data);
}

/* data_received of asyncio's protocols. */
static PyObject *
relay_data_received(Relay *self, PyObject *data)
{
    if (!PyBytes_CheckExact(data) || self->write == NULL)
        return leave(self, data);
    const char *at = PyBytes_AS_STRING(data), *end = at + PyBytes_GET_SIZE(data);
    uint64_t characters = 0;
    uint64_t events = translate(self, &at, end, &characters);
    Tail *tail = self->tail;
    /* A single event before others is cheaper in one write with them. */
    if (events == 0 || (events == 1 && at < end) || self->seq + events > self->last || self->bytes >= self->room || tail->size >= tail->limit)
        return leave(self, data);

    PyObject *now = PyObject_CallNoArgs(self->now);
    if (now == NULL)
        return NULL;
    double at_seconds = PyFloat_AsDouble(now);
    Py_DECREF(now);
    uint64_t at_ms = self->began_ms + (uint64_t)((at_seconds - self->began_at) * 1000);
    finish_record(&record, self->key, self->epoch, self->seq + 1, (uint32_t)events, at_ms);
    uint64_t place[2] = {tail->base + tail->size, self->seq + 1};
    if (reserve(&self->places, sizeof place) || reserve(&self->said, literals.size) || append(self) != 0)
        return leave(self, data);
    if (tail->file >= 0)
        tail->size += record.size;
    put(&self->places, (const char *)place, sizeof place);
    put(&self->said, literals.bytes, literals.size);
    self->seq += events;
    self->count += events;
    self->events += events;
    self->characters += characters;
    self->bytes += record.size;
    self->writes++;
    self->last_at = at_seconds;

    size_t head = chunk_head(&frames);
    PyObject *out = PyBytes_FromStringAndSize(frames.bytes + head, frames.size - head);
    if (out == NULL)
        return NULL;
    /* Whoever has no room now may end this relay meanwhile: nothing of it is counted afterwards. */
    PyObject *write = Py_NewRef(self->write);
    PyObject *done = PyObject_CallOneArg(write, out);
    Py_DECREF(write);
    Py_DECREF(out);
    if (done == NULL || at == end)
        return done;
    Py_DECREF(done);
    PyObject *rest = PyBytes_FromStringAndSize(at, end - at);
    if (rest == NULL)
        return NULL;
    done = leave(self, rest);
    Py_DECREF(rest);
    return done;
}

/* What passed since the last call, as a tuple. */
static PyObject *
relay_take(Relay *self, PyObject *Py_UNUSED(ignored))
{
    PyObject *taken = Py_BuildValue(
        "KKKKdy#y#y#", (unsigned long long)self->events, (unsigned long long)self->characters,
        (unsigned long long)self->bytes, (unsigned long long)self->writes, self->last_at, bytes_of(&self->places),
        (Py_ssize_t)self->places.size, bytes_of(&self->said), (Py_ssize_t)self->said.size, bytes_of(&self->records),
        (Py_ssize_t)self->records.size);
    if (taken != NULL) {
        self->events = self->characters = self->writes = 0;
        self->room -= self->bytes < self->room ? self->bytes : self->room;
        self->bytes = 0;
        release(&self->places);
        release(&self->said);
        release(&self->records);
    }
    return taken;
}

static int
relay_init(Relay *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"pattern", "event", "frame", "key",      "epoch", "seq", "last",  "count", "room",
                            "tail",    "write", "now",   "began_ms", "keeps", NULL};
    PyObject *pattern, *event, *frame, *tail, *write, *now;
    Py_buffer key;
    unsigned long long seq, last, count, room, began_ms;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "$O!O!O!y*IKKKKO!OOKp", names, &PyTuple_Type, &pattern,
                                     &PyTuple_Type, &event, &PyTuple_Type, &frame, &key, &self->epoch, &seq, &last,
                                     &count, &room, &TailType, &tail, &write, &now, &began_ms, &self->keeps))
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
    self->seq = seq;
    self->last = last;
    self->count = count;
    self->room = room;
    self->began_ms = began_ms;
    Py_XSETREF(self->tail, (Tail *)Py_NewRef(tail));
    Py_XSETREF(self->write, Py_NewRef(write));
    Py_XSETREF(self->now, Py_NewRef(now));
    PyObject *began = PyObject_CallNoArgs(now);
    if (began == NULL)
        return -1;
    self->began_at = self->last_at = PyFloat_AsDouble(began);
    Py_DECREF(began);
    return PyErr_Occurred() ? -1 : 0;
}

static int
relay_traverse(Relay *self, visitproc visit, void *arg)
{
    Py_VISIT(self->write);
    Py_VISIT(self->now);
    return 0;
}

/* Also close(): let go of both connections. */
static int
relay_clear(Relay *self)
{
    Py_CLEAR(self->write);
    Py_CLEAR(self->now);
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
    {NULL},
};

static PyMemberDef relay_members[] = {
    {"seq", T_ULONGLONG, offsetof(Relay, seq), READONLY, NULL},
    {"events", T_ULONGLONG, offsetof(Relay, events), READONLY, NULL},
    {NULL},
};

static PyMethodDef relay_methods[] = {
    {"data_received", (PyCFunction)relay_data_received, METH_O, NULL},
    {"take", (PyCFunction)relay_take, METH_NOARGS, NULL},
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
    PyModuleDef_HEAD_INIT, "_relay", "Passes on the frames of steady streams.", -1, NULL,
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
