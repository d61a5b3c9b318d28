/* Translates with an exported model through TensorFlow's C API: without Python, without this package.
 *
 *     serve EXPORT_FOLDER INPUT TEXT SCORE ERROR
 *
 * reads sentences, one per line, and prints `score<TAB>text` for each. What is wrong with a line goes to standard error.
 * INPUT, TEXT, SCORE and ERROR are the names of the signature's tensors, such as `serving_default_text:0`;
 * `saved_model_cli show --dir EXPORT_FOLDER --all` prints them. They are arguments because the C API returns the
 * signature only as a serialized protobuf.
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

static void print_string(const TF_TString *string, FILE *file) {
    fwrite(TF_StringGetDataPointer(string), 1, TF_StringGetSize(string), file);
    putc('\n', file);
}

static const void *data_of(const TF_Tensor *tensor, const char *name, TF_DataType type, int64_t count) {
    if (TF_TensorType(tensor) != type || TF_TensorElementCount(tensor) != count) {
        fail(name, type == TF_FLOAT ? "not a float32 for each line" : "not a string for each line");
    }
    return TF_TensorData(tensor);
}

static void print_translations(TF_Tensor *const answers[], int64_t count) {
    const TF_TString *texts = data_of(answers[0], "TEXT", TF_STRING, count);
    const float *scores = data_of(answers[1], "SCORE", TF_FLOAT, count);
    const TF_TString *errors = data_of(answers[2], "ERROR", TF_STRING, count);
    for (int64_t i = 0; i < count; i++) {
        printf("%.9g\t", scores[i]); /* 9 digits tell any two floats apart */
        print_string(&texts[i], stdout);
        if (TF_StringGetSize(&errors[i]) > 0) {
            fprintf(stderr, "serve: line %lld: ", (long long)i + 1);
            print_string(&errors[i], stderr);
        }
    }
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fail("standard output", strerror(errno));
    }
}

int main(int argc, char **argv) {
    if (argc != 6) {
        fail("usage", "serve EXPORT_FOLDER INPUT TEXT SCORE ERROR");
    }
    TF_Status *status = TF_NewStatus();
    TF_SessionOptions *options = TF_NewSessionOptions();
    TF_Graph *graph = TF_NewGraph();
    const char *tags[] = {"serve"};
    /* This also runs the export's initializer, which fills the vocabularies' tables. */
    TF_Session *session = TF_LoadSessionFromSavedModel(options, NULL, argv[1], tags, 1, graph, NULL, status);
    check(status, argv[1]);
    TF_Output input = find_tensor(graph, argv[2]);
    TF_Output outputs[] = {find_tensor(graph, argv[3]), find_tensor(graph, argv[4]), find_tensor(graph, argv[5])};

    TF_Tensor *sentences = read_lines(stdin);
    TF_Tensor *answers[3];
    TF_SessionRun(session, NULL, &input, &sentences, 1, outputs, answers, 3, NULL, 0, NULL, status);
    check(status, "translation");
    print_translations(answers, TF_TensorElementCount(sentences));

    /* The strings of the answers are TensorFlow's own, which frees them with their tensor. */
    for (int i = 0; i < 3; i++) {
        TF_DeleteTensor(answers[i]);
    }
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
