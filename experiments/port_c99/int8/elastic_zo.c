/* ElasticZO-INT8: one training step, read top to bottom like the algorithm (SPEC 10).
 *
 *     theta += z;   forward                    -> L+
 *     theta -= 2 z; forward, tail gradient     -> L-
 *     g = sgn(L+ - L-)
 *     theta += z, then theta -= g * z scaled to b_zo bits
 *     tail  -= tail gradient scaled to b_bp bits
 *
 * theta are the weights below the tail, z a sparse random perturbation that is never stored but drawn again from
 * (seed, step) each time. */
#include "int8.h"

#include <stddef.h>

/* One step on the batch in trainer->x[0]; changes the weights in place.  labels: (N).  step: over the whole run. */
void train_step(struct trainer *trainer, const uint8_t *labels, int32_t n, uint64_t seed, uint64_t step,
                const struct settings *settings, struct outcome *outcome)
{
    perturb(trainer, +1, seed, step, 0, settings);
    outcome->loss_plus = forward_pass(trainer, settings, labels, n, "plus", 0, NULL);
    perturb(trainer, -2, seed, step, 0, settings);
    outcome->loss_minus = forward_pass(trainer, settings, labels, n, "minus", 0, trainer->steps);
    outcome->g[0] = (int8_t)zo_gradient(outcome->loss_plus, outcome->loss_minus);
    outcome->queries = 1;
    restore_and_update(trainer, outcome->g, 1, seed, step, settings);
    update_all(trainer, head_blocks(trainer->model, trainer->bp_tail), false);
}

/* theta += times * z, piece by piece.  times: +1 or -2; |2 z| <= 126, and theta has room for z (CHOICE 9). */
void perturb(struct trainer *trainer, int32_t times, uint64_t seed, uint64_t step, uint64_t query,
             const struct settings *settings)
{
    int8_t z[CHUNK];
    for (int32_t b = 0; b < head_blocks(trainer->model, trainer->bp_tail); b++) {
        const struct address address = {seed, PERTURB, step, (uint64_t)b, query};
        const struct tensor *weight = &trainer->weights[b];
        for (int32_t start = 0; start < weight->size; start += CHUNK) {
            const int32_t count = weight->size - start < CHUNK ? weight->size - start : CHUNK;
            int8_t *theta = weight->data + start;
            draw_z(&address, (uint64_t)start, count, settings->r_max, settings->p_zero, z);
            for (int32_t i = 0; i < count; i++)
                theta[i] = (int8_t)(theta[i] + times * z[i]);
        }
    }
}

/* A forward pass, its loss, and, if there is a place for them, the steps of the tail. */
int64_t forward_pass(struct trainer *trainer, const struct settings *settings, const uint8_t *labels, int32_t n,
                     const char *phase, int32_t query, int16_t **steps)
{
    const struct model *model = trainer->model;
    const int32_t last = model->block_count;
    note_weights(trainer, phase, query);
    note(trainer, phase, query, "input", "images", 1, trainer->x[0], n, &model->input);
    forward(trainer, n, phase, query);
    if (steps && head_blocks(model, trainer->bp_tail) < last)
        tail_steps(trainer, labels, n, settings->b_bp, phase, query, steps);
    const int64_t loss = (settings->coarse ? coarse_cross_entropy : cross_entropy)(
        trainer->x[last], trainer->exponents[last], labels, n, model->classes);
    note_loss(trainer, phase, query, loss);
    return loss;
}

/* g: the sign of L+ - L- (CHOICE 23). */
int32_t zo_gradient(int64_t loss_plus, int64_t loss_minus)
{
    return (loss_plus > loss_minus) - (loss_plus < loss_minus);
}

/* theta += z of the last query, which restores it exactly, then minus the sum of g * z scaled to b_zo bits over all
 * queries, and one clip to +-(127 - R) (CHOICE 25). */
void restore_and_update(struct trainer *trainer, const int8_t *g, int32_t queries, uint64_t seed, uint64_t step,
                        const struct settings *settings)
{
    const int32_t width = bit_width((uint64_t)settings->r_max);
    const int32_t shift = width > settings->b_zo ? width - settings->b_zo : 0;
    int8_t z[CHUNK];
    int32_t taken[CHUNK], moved[CHUNK];
    for (int32_t b = 0; b < head_blocks(trainer->model, trainer->bp_tail); b++)
        for (int32_t start = 0; start < trainer->weights[b].size; start += CHUNK) {
            const int32_t rest = trainer->weights[b].size - start, count = rest < CHUNK ? rest : CHUNK;
            int8_t *theta = trainer->weights[b].data + start;
            for (int32_t i = 0; i < count; i++)
                moved[i] = theta[i];
            for (int32_t query = 0; query < queries; query++) {
                const struct address address = {seed, PERTURB, step, (uint64_t)b, (uint64_t)query};
                const int32_t restored = query == queries - 1;
                if (!restored && !g[query])
                    continue;
                draw_z(&address, (uint64_t)start, count, settings->r_max, settings->p_zero, z);
                for (int32_t i = 0; i < count; i++)
                    taken[i] = z[i];
                pseudo_stochastic_shifts(taken, count, shift, taken);
                for (int32_t i = 0; i < count; i++)
                    moved[i] += restored * z[i] - g[query] * taken[i];
            }
            for (int32_t i = 0; i < count; i++)
                theta[i] = (int8_t)clip(moved[i], LARGEST - settings->r_limit);
        }
}

/* The weights of blocks `first` and on make their steps; both: those of the first pass too. */
void update_all(struct trainer *trainer, int32_t first, bool both)
{
    for (int32_t b = first; b < trainer->model->block_count; b++)
        update_tail(&trainer->weights[b], trainer->steps[b], both ? trainer->first_steps[b] : NULL);
}

/* The class of a sample, the lowest where logits tie (CHOICE 30). */
int32_t class_of(const int8_t *logits, int32_t classes)
{
    int32_t best = 0;
    for (int32_t j = 1; j < classes; j++)
        best = logits[j] > logits[best] ? j : best;
    return best;
}
