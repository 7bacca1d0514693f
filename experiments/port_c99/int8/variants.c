/* What departs from the algorithm, made of the same parts: the frozen control, several queries, both passes. */
#include "int8.h"

#include <stddef.h>

/* The control: theta stays as it is; one pass serves (CHOICE 26). */
static void frozen_step(struct trainer *trainer, const uint8_t *labels, int32_t n, const struct settings *settings,
                        struct outcome *outcome)
{
    outcome->loss_plus = forward_pass(trainer, settings, labels, n, "minus", 0, trainer->steps);
    outcome->loss_minus = outcome->loss_plus;
    outcome->g[0] = 0;
    outcome->queries = 1;
    update_all(trainer, head_blocks(trainer->model, trainer->bp_tail), false);
}

/* Quotient rounded down, of a sum that is not negative. */
static int64_t mean(int64_t sum, int32_t count)
{
    return sum / count;
}

/* `train_step` for any settings; logged are the means of the losses over the queries (CHOICE 31). */
void train_variant(struct trainer *trainer, const uint8_t *labels, int32_t n, uint64_t seed, uint64_t step,
                   const struct settings *settings, struct outcome *outcome)
{
    int64_t plus = 0, minus = 0;
    if (settings->frozen) {
        frozen_step(trainer, labels, n, settings, outcome);
        return;
    }
    outcome->queries = settings->queries;
    for (int32_t query = 0; query < settings->queries; query++) {
        const bool last = query == settings->queries - 1;
        perturb(trainer, +1, seed, step, (uint64_t)query, settings);
        const int64_t loss_plus = forward_pass(trainer, settings, labels, n, "plus", query,
                                               settings->both && last ? trainer->first_steps : NULL);
        perturb(trainer, -2, seed, step, (uint64_t)query, settings);
        const int64_t loss_minus = forward_pass(trainer, settings, labels, n, "minus", query,
                                                last ? trainer->steps : NULL);
        outcome->g[query] = (int8_t)zo_gradient(loss_plus, loss_minus);
        plus += loss_plus;
        minus += loss_minus;
        if (!last)
            perturb(trainer, +1, seed, step, (uint64_t)query, settings);
    }
    outcome->loss_plus = mean(plus, settings->queries);
    outcome->loss_minus = mean(minus, settings->queries);
    restore_and_update(trainer, outcome->g, settings->queries, seed, step, settings);
    update_all(trainer, head_blocks(trainer->model, trainer->bp_tail), settings->both);
}

/* One step of any kind on the batch in trainer->x[0]. */
void any_step(struct trainer *trainer, const uint8_t *labels, int32_t n, uint64_t seed, uint64_t step,
              const struct settings *settings, struct outcome *outcome)
{
    if (trainer->bp_tail == FULL_BP)
        full_bp_step(trainer, labels, n, settings, outcome);
    else if (settings->frozen || settings->both || settings->queries > 1)
        train_variant(trainer, labels, n, seed, step, settings, outcome);
    else
        train_step(trainer, labels, n, seed, step, settings, outcome);
}
