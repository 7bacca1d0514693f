/* ElasticZO in FP32: one training step, read top to bottom like the algorithm.
 *
 *     theta += eps z;   forward                    -> L+
 *     theta -= 2 eps z; forward, tail gradient     -> L-
 *     g = clip((L+ - L-) / (2 eps))
 *     theta += (eps - eta g) z, which restores and updates in one pass
 *     tail  -= eta_tail * tail gradient */
#include "fp32.h"

#include <stddef.h>

/* One step on the batch in trainer->x[0]; changes the parameters in place. */
void train_step_fp32(struct trainer_fp32 *trainer, const uint8_t *labels, int32_t n, uint64_t seed, uint64_t step,
                     const struct settings_fp32 *settings, struct outcome_fp32 *outcome)
{
    perturb_fp32(trainer, settings->eps, seed, step, 0);
    outcome->loss_plus = forward_pass_fp32(trainer, settings, labels, n, "plus", 0, NULL);
    perturb_fp32(trainer, -2 * settings->eps, seed, step, 0);
    outcome->loss_minus = forward_pass_fp32(trainer, settings, labels, n, "minus", 0, trainer->steps);
    outcome->g[0] = zo_gradient_fp32(outcome->loss_plus, outcome->loss_minus, settings);
    outcome->queries = 1;
    restore_and_update_fp32(trainer, outcome->g, 1, seed, step, settings);
    update_tail_fp32(trainer, false);
    update_running(trainer);
}

/* theta += times * z, piece by piece. */
void perturb_fp32(struct trainer_fp32 *trainer, double times, uint64_t seed, uint64_t step, uint64_t query)
{
    float z[CHUNK_FP32];
    const float factor = (float)times;
    for (int32_t i = 0; i < first_of_tail(trainer); i++) {
        const struct address address = {seed, PERTURB, step, (uint64_t)i, query};
        const struct parameter *parameter = &trainer->parameters[i];
        for (int32_t start = 0; start < parameter->size; start += CHUNK_FP32) {
            const int32_t rest = parameter->size - start, count = rest < CHUNK_FP32 ? rest : CHUNK_FP32;
            float *theta = parameter->data + start;
            draw_z_fp32(&address, (uint64_t)start, count, z);
            for (int32_t j = 0; j < count; j++)
                theta[j] += factor * z[j];
        }
    }
}

/* A forward pass, its loss, and, if there is a place for them, the steps of the tail. */
double forward_pass_fp32(struct trainer_fp32 *trainer, const struct settings_fp32 *settings, const uint8_t *labels,
                         int32_t n, const char *phase, int32_t query, float **steps)
{
    const struct model *model = trainer->model;
    const int32_t last = model->block_count;
    for (int32_t i = 0; trainer->recorder && i < trainer->total; i++)
        note_parameter(trainer, phase, query, "weights", &trainer->parameters[i], trainer->parameters[i].data);
    note_fp32(trainer, phase, query, "input", "images", trainer->x[0], n, &model->input);
    forward_fp32(trainer, n, phase, query);
    if (steps && head_blocks(model, trainer->bp_tail) < last)
        tail_steps_fp32(trainer, labels, n, settings->eta_tail, phase, query, steps);
    const double loss = cross_entropy_fp32(trainer->x[last], labels, n, model->classes);
    if (trainer->recorder) {
        const struct note_fp32 told = {phase, "loss", "batch", query, NULL, 0, {0, 0, 0, 0}, loss};
        trainer->recorder->note(trainer->recorder, &told);
    }
    return loss;
}

/* g: the slope along z, clipped. */
double zo_gradient_fp32(double loss_plus, double loss_minus, const struct settings_fp32 *settings)
{
    const double g = (loss_plus - loss_minus) / (2 * settings->eps);
    return g > settings->clip ? settings->clip : g < -settings->clip ? -settings->clip : g;
}

/* theta += (eps - eta g) z; of several queries the steps are averaged, and the last one's eps z is restored. */
void restore_and_update_fp32(struct trainer_fp32 *trainer, const double *g, int32_t queries, uint64_t seed,
                             uint64_t step, const struct settings_fp32 *settings)
{
    for (int32_t query = 0; query < queries; query++)
        perturb_fp32(trainer, (query == queries - 1 ? settings->eps : 0) - settings->eta * g[query] / queries, seed,
                     step, (uint64_t)query);
}

/* Pixels as the network takes them. */
void from_pixels_fp32(const uint8_t *pixels, int32_t count, float *x)
{
    for (int32_t i = 0; i < count; i++)
        x[i] = (float)pixels[i] * (1.0f / 255);
}
