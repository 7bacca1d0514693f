/* The backwards of the layers that can stand in the tail, linear and ReLU, and its update. */
#include "fp32.h"

#include <stddef.h>

/* Backpropagation through the tail, last layer first; steps of each parameter, none is changed. */
void tail_steps_fp32(struct trainer_fp32 *trainer, const uint8_t *labels, int32_t n, double eta_tail,
                     const char *phase, int32_t query, float **steps)
{
    const struct model *model = trainer->model;
    const int32_t first = head_blocks(model, trainer->bp_tail), last = model->block_count - 1;
    float *error = trainer->errors[0], *below = trainer->errors[1];
    softmax_error_fp32(trainer->x[last + 1], labels, n, model->classes, error);
    note_fp32(trainer, phase, query, "softmax_error", model->blocks[last].layers->name, error, n,
              &model->blocks[last].output);
    for (int32_t b = last; b >= first; b--) {
        const struct layer *layer = model->blocks[b].layers;
        const int32_t place = trainer->weight_of[b];
        const struct parameter *weight = &trainer->parameters[place];
        float *const now = error, *bias = steps[place + 1];
        tiled_gradient_fp32(n, layer->in, layer->out, now, trainer->x[b], steps[place]);
        for (int32_t o = 0; o < layer->out; o++) {
            bias[o] = 0;
            for (int32_t sample = 0; sample < n; sample++)
                bias[o] += now[sample * layer->out + o];
        }
        note_parameter(trainer, phase, query, "linear_gradient", weight, steps[place]);
        note_parameter(trainer, phase, query, "linear_gradient", weight + 1, bias);
        for (int32_t part = 0; part < 2; part++)
            for (int32_t i = 0; i < weight[part].size; i++)
                steps[place + part][i] *= (float)eta_tail;
        if (b == first)
            break;
        tiled_backward_fp32(n, layer->in, layer->out, now, weight->data, below);
        note_fp32(trainer, phase, query, "linear_backward", layer->name, below, n, &model->blocks[b].input);
        if (model->blocks[b - 1].relu) {
            for (int32_t i = 0; i < n * layer->in; i++)
                below[i] = trainer->x[b][i] > 0 ? below[i] : 0;
            note_fp32(trainer, phase, query, "relu_backward", layer->name, below, n, &model->blocks[b].input);
        }
        error = below;
        below = now;
    }
    for (int32_t b = last; b >= first; b--)
        for (int32_t part = 0; part < 2; part++)
            note_parameter(trainer, phase, query, "gradient_step", &trainer->parameters[trainer->weight_of[b] + part],
                           steps[trainer->weight_of[b] + part]);
}

/* parameter -= step; both: the mean of the two passes' steps. */
void update_tail_fp32(struct trainer_fp32 *trainer, bool both)
{
    for (int32_t i = first_of_tail(trainer); i < trainer->learned; i++) {
        float *data = trainer->parameters[i].data;
        const float *step = trainer->steps[i], *first = trainer->first_steps[i];
        for (int32_t j = 0; j < trainer->parameters[i].size; j++)
            data[j] -= both ? (first[j] + step[j]) / 2 : step[j];
    }
}
