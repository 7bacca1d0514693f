/* The backwards of the layers that can stand in the tail, linear and ReLU, and its update (SPEC 9). */
#include "int8.h"

#include <stddef.h>

/* Softmax to 15 bits minus one-hot, requantised (CHOICE 7).  sums: room for (N, classes). Returns the shift. */
int32_t softmax_error(const int8_t *logits, int32_t exponent, const uint8_t *labels, int32_t n, int32_t classes,
                      int32_t *sums, int8_t *error)
{
    for (int32_t sample = 0; sample < n; sample++) {
        const int8_t *row = logits + sample * classes;
        const int64_t most = base2_logit(row[class_of(row, classes)], exponent);
        int64_t total = 0;
        for (int32_t j = 0; j < classes; j++)
            total += exp2_term(most - base2_logit(row[j], exponent));
        for (int32_t j = 0; j < classes; j++) {
            const int64_t term = exp2_term(most - base2_logit(row[j], exponent));
            sums[sample * classes + j] = (int32_t)((term << SOFTMAX_BITS) / total);
        }
        sums[sample * classes + labels[sample]] -= (int32_t)1 << SOFTMAX_BITS;
    }
    return requantise(sums, n * classes, error);
}

/* G[o][i] = sum over the batch of error[n][o] * x[n][i]; two samples at a time, as their products fit 16 bits. */
void linear_gradient(int32_t n, int32_t in, int32_t out, const int8_t *error, const int8_t *x, int32_t *gradient)
{
    for (int32_t i = 0; i < in * out; i++)
        gradient[i] = 0;
    for (int32_t sample = 0; sample < n; sample += 2) {
        const int8_t *first = x + sample * in, *second = sample + 1 < n ? first + in : first;
        for (int32_t o = 0; o < out; o++) {
            int32_t *row = gradient + o * in;
            const int16_t a = error[sample * out + o];
            const int16_t b = sample + 1 < n ? error[(sample + 1) * out + o] : 0;
            if (a | b)
                for (int32_t i = 0; i < in; i++)
                    row[i] += (int16_t)((int16_t)(a * first[i]) + (int16_t)(b * second[i]));
        }
    }
}

/* The error passed back through the weights as they were in the forward pass: (N, out) -> (N, in). */
void linear_backward(int32_t n, int32_t in, int32_t out, const int8_t *error, const int8_t *weight, int32_t *sums)
{
    for (int32_t sample = 0; sample < n; sample++)
        for (int32_t i = 0; i < in; i++) {
            int32_t sum = 0;
            for (int32_t o = 0; o < out; o++)
                sum += (int32_t)error[sample * out + o] * weight[o * in + i];
            sums[sample * in + i] = sum;
        }
}

/* Zero where the stored activation is not above zero (CHOICE 20). */
void relu_backward(int32_t count, const int8_t *x, int32_t *error)
{
    for (int32_t i = 0; i < count; i++)
        error[i] = x[i] > 0 ? error[i] : 0;
}

/* The shift that leaves b_bp bits of the largest magnitude (CHOICE 22). */
int32_t own_shift(uint64_t maximum, int32_t b_bp)
{
    const int32_t width = bit_width(maximum);
    return width > b_bp ? width - b_bp : 0;
}

/* The shift from the reference of a layer, which takes notice of the gradient first (CHOICES 35 and 36).
 * exponent: of the gradient.  b_bp: -8..7. */
int32_t running_shift(uint64_t maximum, int32_t exponent, int32_t b_bp, struct scale *scale)
{
    const int32_t width = bit_width(maximum), size = width + exponent;
    if (maximum && size >= scale->reference) {   /* a gradient of zeros reaches no reference */
        scale->reference = size;
        scale->age = 0;
    } else if (++scale->age == FALL_AFTER) {
        scale->reference--;
        scale->age = 0;
    }
    const int32_t shift = scale->reference - b_bp - exponent;
    const int32_t most = width < 32 ? LARGEST_SHIFT : 62;   /* full BP has sums of 64 bits */
    return shift < 0 ? 0 : shift > most ? most : shift;
}

/* By how many bits a gradient is shifted.  scale: its layer's, or NULL where a gradient's own size decides. */
int32_t gradient_shift(uint64_t maximum, int32_t exponent, int32_t b_bp, struct scale *scale)
{
    return scale ? running_shift(maximum, exponent, b_bp, scale) : own_shift(maximum, b_bp);
}

/* The step of a tensor, from its gradient, which is overwritten. |step| <= 2^b_bp, or 1 where b_bp is below 0. */
void gradient_step(int32_t *gradient, int32_t count, int32_t exponent, int32_t b_bp, struct scale *scale,
                   int16_t *step)
{
    const int32_t shift = gradient_shift((uint64_t)max_abs(gradient, count), exponent, b_bp, scale);
    pseudo_stochastic_shifts(gradient, count, shift, gradient);
    for (int32_t i = 0; i < count; i++)
        step[i] = (int16_t)gradient[i];
}

/* weight -= step, and the step of the first pass where there is one (CHOICE 8); one clip. */
void update_tail(struct tensor *weight, const int16_t *step, const int16_t *first_step)
{
    for (int32_t i = 0; i < weight->size; i++)
        weight->data[i] = (int8_t)clip(weight->data[i] - step[i] - (first_step ? first_step[i] : 0), LARGEST);
}

/* Backpropagation through the tail, last layer first; steps[b] of each layer b, no weight is changed (CHOICE 21).
 * The activations are those of the pass that was just made. */
void tail_steps(struct trainer *trainer, const uint8_t *labels, int32_t n, int32_t b_bp, const char *phase,
                int32_t query, int16_t **steps)
{
    const struct model *model = trainer->model;
    const int32_t first = head_blocks(model, trainer->bp_tail), last = model->block_count - 1;
    int8_t *error = trainer->errors[0], *below = trainer->errors[1];
    int32_t exponent = softmax_error(trainer->x[last + 1], trainer->exponents[last + 1], labels, n, model->classes,
                                     trainer->sums, error) - SOFTMAX_BITS;
    note_made(trainer, phase, query, "softmax_error", model->blocks[last].layers->name, error, n,
              &model->blocks[last].output, exponent, 0, 0);
    for (int32_t b = last; b >= first; b--) {
        const struct block *block = &model->blocks[b];
        const int32_t in = block->layers->in, out = block->layers->out;
        int8_t *const now = error;
        linear_gradient(n, in, out, now, trainer->x[b], trainer->sums);
        note(trainer, phase, query, "linear_gradient", block->layers->name, 4, trainer->sums, 0, NULL);
        gradient_step(trainer->sums, in * out, exponent + trainer->exponents[b], b_bp, scale_of(trainer, b), steps[b]);
        if (b == first)
            break;
        if (trainer->recorder)
            linear_backward(n, in, out, now, trainer->weights[b].data, trainer->sums);
        else
            tiled_backward(n, in, out, now, trainer->weights[b].data, trainer->sums);
        note(trainer, phase, query, "linear_backward", block->layers->name, 4, trainer->sums, n, &block->input);
        if (model->blocks[b - 1].relu) {
            relu_backward(n * in, trainer->x[b], trainer->sums);
            note(trainer, phase, query, "relu_backward", block->layers->name, 4, trainer->sums, n, &block->input);
        }
        const int32_t maximum = max_abs(trainer->sums, n * in), shift = requantise(trainer->sums, n * in, below);
        exponent += trainer->weights[b].exponent + shift;
        note_made(trainer, phase, query, "requantise_error", block->layers->name, below, n, &block->input, exponent,
                  maximum, shift);
        error = below;
        below = now;
    }
    for (int32_t b = last; b >= first; b--)
        note(trainer, phase, query, "gradient_step", model->blocks[b].layers->name, 2, steps[b], 0, NULL);
}
