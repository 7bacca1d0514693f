/* Mean cross-entropy by a stable log-sum-exp. */
#include "fp32.h"

#include <math.h>

/* log of the sum of exp, of a row; and its maximum, which is taken first so that nothing overflows. */
static float log_sum(const float *row, int32_t classes, float *most)
{
    float sum = 0;
    *most = row[0];
    for (int32_t j = 1; j < classes; j++)
        *most = row[j] > *most ? row[j] : *most;
    for (int32_t j = 0; j < classes; j++)
        sum += expf(row[j] - *most);
    return logf(sum);
}

/* The mean loss of a batch in nats.  logits: (N, classes). */
double cross_entropy_fp32(const float *logits, const uint8_t *labels, int32_t n, int32_t classes)
{
    double loss = 0;
    for (int32_t sample = 0; sample < n; sample++, logits += classes) {
        float most;
        const float rest = log_sum(logits, classes, &most);
        loss -= (double)(logits[labels[sample]] - most - rest);
    }
    return (double)(float)(loss / n);
}

/* dL/dlogits: (softmax minus one-hot) / N. */
void softmax_error_fp32(const float *logits, const uint8_t *labels, int32_t n, int32_t classes, float *error)
{
    for (int32_t sample = 0; sample < n; sample++, logits += classes, error += classes) {
        float most;
        const float rest = log_sum(logits, classes, &most);
        for (int32_t j = 0; j < classes; j++)
            error[j] = (expf(logits[j] - most - rest) - (j == labels[sample] ? 1 : 0)) / (float)n;
    }
}
