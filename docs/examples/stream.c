/* Runs one time step of a model, as `keras_recurrent.export.export_step` writes it, through LiteRT's C API.
 *
 *     stream STEP.tflite
 *
 * reads one time step per line, the numbers of all inputs but the states, and prints the numbers of all outputs but the
 * states. The states start at zero. All tensors are float32.
 *
 * The library libLiteRt.so is part of the Python package `ai-edge-litert`, at least version 2.2, but does not need Python:
 *
 *     cc stream.c -o stream path/to/ai_edge_litert/libLiteRt.so -Wl,-rpath,path/to/ai_edge_litert
 */
#define _POSIX_C_SOURCE 200809L /* for getline */

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

/* What the program uses of the C API. The package has no headers; LiteRT's source has them in `litert/c`. */
typedef struct EnvironmentT *Environment;
typedef struct ModelT *Model;
typedef struct OptionsT *Options;
typedef struct CompiledModelT *CompiledModel;
typedef struct SignatureT *Signature;
typedef struct TensorT *Tensor;
typedef struct BufferT *Buffer;
enum { OK = 0, FLOAT32 = 1, HOST_MEMORY = 1, ON_CPU = 1, FOR_READING = 0, FOR_WRITING = 1, MAX_RANK = 8 };
typedef struct {
    int32_t element_type;
    unsigned int rank : 7;
    unsigned int has_strides : 1;
    int32_t dimensions[MAX_RANK];
    uint32_t strides[MAX_RANK];
} TensorType;
int LiteRtCreateEnvironment(int num_options, const void *options, Environment *environment);
int LiteRtCreateModelFromFile(Environment environment, const char *path, Model *model);
int LiteRtCreateOptions(Options *options);
int LiteRtSetOptionsHardwareAccelerators(Options options, int accelerators);
int LiteRtCreateCompiledModel(Environment environment, Model model, Options options, CompiledModel *compiled);
int LiteRtGetModelSignature(Model model, size_t index, Signature *signature);
int LiteRtGetNumSignatureInputs(Signature signature, size_t *count);
int LiteRtGetNumSignatureOutputs(Signature signature, size_t *count);
int LiteRtGetSignatureInputName(Signature signature, size_t index, const char **name);
int LiteRtGetSignatureOutputName(Signature signature, size_t index, const char **name);
int LiteRtGetSignatureInputTensorByIndex(Signature signature, size_t index, Tensor *tensor);
int LiteRtGetSignatureOutputTensorByIndex(Signature signature, size_t index, Tensor *tensor);
int LiteRtGetRankedTensorType(Tensor tensor, TensorType *type);
int LiteRtCreateManagedTensorBuffer(Environment environment, int kind, const TensorType *type, size_t size,
                                    Buffer *buffer);
int LiteRtLockTensorBuffer(Buffer buffer, void **memory, int mode);
int LiteRtUnlockTensorBuffer(Buffer buffer);
int LiteRtRunCompiledModel(CompiledModel compiled, size_t signature, size_t num_inputs, Buffer *inputs,
                           size_t num_outputs, Buffer *outputs);
void LiteRtDestroyTensorBuffer(Buffer buffer);
void LiteRtDestroyCompiledModel(CompiledModel compiled);
void LiteRtDestroyOptions(Options options);
void LiteRtDestroyModel(Model model);
void LiteRtDestroyEnvironment(Environment environment);

enum { MAX_TENSORS = 64 };

/* The inputs or the outputs of the step. */
typedef struct {
    size_t count;
    const char *names[MAX_TENSORS];
    Buffer buffers[MAX_TENSORS];
    size_t sizes[MAX_TENSORS]; /* in floats */
} Tensors;

static _Noreturn void fail(const char *what, const char *why) {
    fprintf(stderr, "stream: %s: %s\n", what, why);
    exit(EXIT_FAILURE);
}

static void check(int status, const char *what) {
    if (status != OK) {
        char why[32];
        snprintf(why, sizeof why, "LiteRT's status %d", status);
        fail(what, why);
    }
}

/* Creates the buffer of a tensor. */
static void add(Tensors *tensors, Environment environment, const char *name, Tensor tensor) {
    TensorType type;
    check(LiteRtGetRankedTensorType(tensor, &type), name);
    if (type.element_type != FLOAT32) {
        fail(name, "not float32");
    }
    size_t size = 1;
    for (unsigned int axis = 0; axis < type.rank; axis++) {
        if (type.dimensions[axis] < 1) {
            fail(name, "not of a fixed shape");
        }
        size *= (size_t)type.dimensions[axis];
    }
    if (tensors->count == MAX_TENSORS) {
        fail(name, "one tensor too many");
    }
    size_t index = tensors->count++;
    tensors->names[index] = name;
    tensors->sizes[index] = size;
    Buffer *buffer = &tensors->buffers[index];
    check(LiteRtCreateManagedTensorBuffer(environment, HOST_MEMORY, &type, size * sizeof(float), buffer), name);
}

static float *lock(const Tensors *tensors, size_t index, int mode) {
    void *memory;
    check(LiteRtLockTensorBuffer(tensors->buffers[index], &memory, mode), tensors->names[index]);
    return memory;
}

static void unlock(const Tensors *tensors, size_t index) {
    check(LiteRtUnlockTensorBuffer(tensors->buffers[index]), tensors->names[index]);
}

/* The index of the state that an output is the next value of, or the number of inputs if it is none. */
static size_t state_of(const Tensors *inputs, const char *output) {
    static const char prefix[] = "next_";
    size_t length = strlen(prefix);
    for (size_t index = 0; index < inputs->count; index++) {
        if (strncmp(output, prefix, length) == 0 && strcmp(output + length, inputs->names[index]) == 0) {
            return index;
        }
    }
    return inputs->count;
}

/* Reads the numbers of all inputs but the states from a line. */
static void read_inputs(const Tensors *inputs, const unsigned char *is_state, char *line) {
    for (size_t index = 0; index < inputs->count; index++) {
        if (is_state[index]) {
            continue;
        }
        float *values = lock(inputs, index, FOR_WRITING);
        for (size_t i = 0; i < inputs->sizes[index]; i++) {
            char *end;
            values[i] = strtof(line, &end);
            if (end == line) {
                fail(inputs->names[index], "too few numbers in a line");
            }
            line = end;
        }
        unlock(inputs, index);
    }
    if (line[strspn(line, " \t\r\n")] != '\0') {
        fail("standard input", "too many numbers in a line");
    }
}

/* Prints all outputs but the states, and copies these to the inputs. */
static void write_outputs(const Tensors *outputs, const Tensors *inputs) {
    const char *separator = "";
    for (size_t index = 0; index < outputs->count; index++) {
        const float *values = lock(outputs, index, FOR_READING);
        size_t state = state_of(inputs, outputs->names[index]);
        if (state < inputs->count) {
            memcpy(lock(inputs, state, FOR_WRITING), values, outputs->sizes[index] * sizeof *values);
            unlock(inputs, state);
        } else {
            for (size_t i = 0; i < outputs->sizes[index]; i++) {
                printf("%s%.9g", separator, values[i]); /* 9 digits distinguish any two floats */
                separator = " ";
            }
        }
        unlock(outputs, index);
    }
    putchar('\n');
    if (fflush(stdout) != 0) {
        fail("standard output", strerror(errno));
    }
}

static void run(CompiledModel compiled, Tensors *inputs, Tensors *outputs) {
    unsigned char is_state[MAX_TENSORS] = {0};
    for (size_t index = 0; index < outputs->count; index++) {
        size_t state = state_of(inputs, outputs->names[index]);
        if (state < inputs->count) {
            is_state[state] = 1;
            memset(lock(inputs, state, FOR_WRITING), 0, inputs->sizes[state] * sizeof(float));
            unlock(inputs, state);
        }
    }
    char *line = NULL;
    size_t capacity = 0;
    while (getline(&line, &capacity, stdin) >= 0) {
        read_inputs(inputs, is_state, line);
        check(LiteRtRunCompiledModel(compiled, 0, inputs->count, inputs->buffers, outputs->count, outputs->buffers),
              "step");
        write_outputs(outputs, inputs);
    }
    if (!feof(stdin)) { /* getline returns -1 for errors, too */
        fail("standard input", strerror(errno));
    }
    free(line);
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fail("usage", "stream STEP.tflite");
    }
    Environment environment;
    Model model;
    Options options;
    CompiledModel compiled;
    Signature signature;
    check(LiteRtCreateEnvironment(0, NULL, &environment), "environment");
    check(LiteRtCreateModelFromFile(environment, argv[1], &model), argv[1]);
    check(LiteRtCreateOptions(&options), "options");
    check(LiteRtSetOptionsHardwareAccelerators(options, ON_CPU), "options");
    check(LiteRtCreateCompiledModel(environment, model, options, &compiled), argv[1]);
    check(LiteRtGetModelSignature(model, 0, &signature), argv[1]);

    Tensors inputs = {0}, outputs = {0};
    size_t count;
    const char *name;
    Tensor tensor;
    check(LiteRtGetNumSignatureInputs(signature, &count), "inputs");
    for (size_t index = 0; index < count; index++) {
        check(LiteRtGetSignatureInputName(signature, index, &name), "inputs");
        check(LiteRtGetSignatureInputTensorByIndex(signature, index, &tensor), name);
        add(&inputs, environment, name, tensor);
    }
    check(LiteRtGetNumSignatureOutputs(signature, &count), "outputs");
    for (size_t index = 0; index < count; index++) {
        check(LiteRtGetSignatureOutputName(signature, index, &name), "outputs");
        check(LiteRtGetSignatureOutputTensorByIndex(signature, index, &tensor), name);
        add(&outputs, environment, name, tensor);
    }
    run(compiled, &inputs, &outputs);

    for (size_t index = 0; index < inputs.count; index++) {
        LiteRtDestroyTensorBuffer(inputs.buffers[index]);
    }
    for (size_t index = 0; index < outputs.count; index++) {
        LiteRtDestroyTensorBuffer(outputs.buffers[index]);
    }
    LiteRtDestroyCompiledModel(compiled);
    LiteRtDestroyOptions(options);
    LiteRtDestroyModel(model);
    LiteRtDestroyEnvironment(environment);
    return EXIT_SUCCESS;
}
