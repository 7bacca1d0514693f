/* What departs from the algorithm, made of the same parts: the frozen control, several queries, both passes. */
#include "fp32.h"

#include <stddef.h>

void train_variant_fp32(struct trainer_fp32 *trainer, const uint8_t *labels, int32_t n, uint64_t seed, uint64_t step,
                        const struct settings_fp32 *settings, struct outcome_fp32 *outcome)
{
    double plus = 0, minus = 0;
    outcome->queries = settings->frozen ? 1 : settings->queries;
    for (int32_t query = 0; query < outcome->queries; query++) {
        const bool last = query == outcome->queries - 1;
        double loss_plus = 0;
        if (!settings->frozen) {
            perturb_fp32(trainer, settings->eps, seed, step, (uint64_t)query);
            loss_plus = forward_pass_fp32(trainer, settings, labels, n, "plus", query,
                                          settings->both && last ? trainer->first_steps : NULL);
            perturb_fp32(trainer, -2 * settings->eps, seed, step, (uint64_t)query);
        }
        const double loss_minus = forward_pass_fp32(trainer, settings, labels, n, "minus", query,
                                                    last ? trainer->steps : NULL);
        loss_plus = settings->frozen ? loss_minus : loss_plus;
        outcome->g[query] = zo_gradient_fp32(loss_plus, loss_minus, settings);
        plus += loss_plus;
        minus += loss_minus;
        if (!last)
            perturb_fp32(trainer, settings->eps, seed, step, (uint64_t)query);
    }
    outcome->loss_plus = plus / outcome->queries;
    outcome->loss_minus = minus / outcome->queries;
    if (!settings->frozen)
        restore_and_update_fp32(trainer, outcome->g, outcome->queries, seed, step, settings);
    update_tail_fp32(trainer, settings->both && !settings->frozen);
    update_running(trainer);
}
