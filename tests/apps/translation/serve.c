/* Translates with an exported model through TensorFlow's C API: without Python, without this package.
 *
 *     serve EXPORT_FOLDER INPUT TEXT SCORE
 *
 * reads sentences, one a line, and prints `score<TAB>text` for each. INPUT, TEXT and SCORE are the names of the
 * signature's tensors, such as `serving_default_text:0`; `saved_model_cli show --dir EXPORT_FOLDER --all` tells them.
 * They are arguments because the C API gives the signature as a serialized protobuf only.
 */
#define _POSIX_C_SOURCE 200809L /* for getline */

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include <tensorflow/c/c_api.h>

/* The end of the process frees what it held. */
static _Noreturn void fail(const char *what, const char *why) {
    fprintf(stderr, "serve: %s: %s\n", what, why);
    exit(EXIT_FAILURE);
}

static void check(const TF_Status *status, const char *what) {
    if (TF_GetCode(status) != TF_OK) {
        fail(what, TF_Message(status));
    }
}

/* The tensor called `operation:index`. */
static TF_Output find_tensor(TF_Graph *graph, char *name) {
    char *colon = strrchr(name, ':');
    if (colon == NULL) {
        fail(name, "a tensor's name ends in its index, such as ':0'");
    }
    char *end;
    long index = strtol(colon + 1, &end, 10);
    bool is_number = end != colon + 1 && *end == '\0';
    *colon = '\0';
    TF_Operation *operation = TF_GraphOperationByName(graph, name);
    *colon = ':';
    if (!is_number || operation == NULL || index < 0 || index >= TF_OperationNumOutputs(operation)) {
        fail(name, "the graph has no such tensor");
    }
    return (TF_Output){operation, (int)index};
}

/* TensorFlow frees nothing of an array that it was given, nor the memory outside it, where long strings are. */
static void free_strings(void *data, size_t size, void *unused) {
    (void)unused;
    TF_TString *strings = data;
    for (size_t i = 0; i < size / sizeof *strings; i++) {
        TF_StringDealloc(&strings[i]);
    }
    free(strings);
}

/* The lines of a file, without their ends, as a tensor of strings `(lines,)`. */
static TF_Tensor *read_lines(FILE *file) {
    TF_TString *strings = NULL;
    size_t count = 0, capacity = 0;
    char *line = NULL;
    size_t line_capacity = 0;
    ssize_t length;
    while ((length = getline(&line, &line_capacity, file)) >= 0) {
        if (line[length - 1] == '\n') {
            length--;
        }
        if (count == capacity) {
            capacity = capacity == 0 ? 64 : 2 * capacity;
            /* These strings may be moved byte by byte: none points into itself. */
            strings = realloc(strings, capacity * sizeof *strings);
            if (strings == NULL) {
                fail("standard input", strerror(errno));
            }
        }
        TF_StringInit(&strings[count]);
        TF_StringCopy(&strings[count], line, (size_t)length);
        count++;
    }
    if (!feof(file)) { /* getline gives -1 for errors, too */
        fail("standard input", strerror(errno));
    }
    free(line);
    int64_t shape[] = {(int64_t)count};
    TF_Tensor *tensor = TF_NewTensor(TF_STRING, shape, 1, strings, count * sizeof *strings, free_strings, NULL);
    if (tensor == NULL) {
        fail("standard input", "cannot be made a tensor");
    }
    return tensor;
}

static void print_translations(const TF_Tensor *text, const TF_Tensor *score, int64_t count) {
    if (TF_TensorType(text) != TF_STRING || TF_TensorElementCount(text) != count) {
        fail("TEXT", "not a string for each line");
    }
    if (TF_TensorType(score) != TF_FLOAT || TF_TensorElementCount(score) != count) {
        fail("SCORE", "not a float32 for each line");
    }
    const TF_TString *texts = TF_TensorData(text);
    const float *scores = TF_TensorData(score);
    for (int64_t i = 0; i < count; i++) {
        printf("%.9g\t", scores[i]); /* 9 digits tell any two floats apart */
        fwrite(TF_StringGetDataPointer(&texts[i]), 1, TF_StringGetSize(&texts[i]), stdout);
        putchar('\n');
    }
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fail("standard output", strerror(errno));
    }
}

int main(int argc, char **argv) {
    if (argc != 5) {
        fail("usage", "serve EXPORT_FOLDER INPUT TEXT SCORE");
    }
    TF_Status *status = TF_NewStatus();
    TF_SessionOptions *options = TF_NewSessionOptions();
    TF_Graph *graph = TF_NewGraph();
    const char *tags[] = {"serve"};
    /* This also runs the export's initializer, which fills the vocabularies' tables. */
    TF_Session *session = TF_LoadSessionFromSavedModel(options, NULL, argv[1], tags, 1, graph, NULL, status);
    check(status, argv[1]);
    TF_Output input = find_tensor(graph, argv[2]);
    TF_Output outputs[] = {find_tensor(graph, argv[3]), find_tensor(graph, argv[4])};

    TF_Tensor *sentences = read_lines(stdin);
    TF_Tensor *answers[2];
    TF_SessionRun(session, NULL, &input, &sentences, 1, outputs, answers, 2, NULL, 0, NULL, status);
    check(status, "translation");
    print_translations(answers[0], answers[1], TF_TensorElementCount(sentences));

    /* The strings of the answers are TensorFlow's own, which frees them with their tensor. */
    TF_DeleteTensor(answers[0]);
    TF_DeleteTensor(answers[1]);
    TF_DeleteTensor(sentences);
    TF_CloseSession(session, status);
    check(status, "session");
    TF_DeleteSession(session, status);
    check(status, "session");
    TF_DeleteGraph(graph);
    TF_DeleteSessionOptions(options);
    TF_DeleteStatus(status);
    return EXIT_SUCCESS;
}
