#ifndef NASC_ROBUSTNESS_H
#define NASC_ROBUSTNESS_H
#include "engine.h"
#include "evaluators.h"

/* How a trained network takes faults, each measured as an error on images:
 *
 *   flips  in the memory of its weights (Reagen et al., DAC 2018): in int8, two's
 *          complement, each bit flipped with the probability cfg->flips by itself.
 *          Biases (int32 on a device) and norms stay as they are.
 *   noise  on its input (Hendrycks & Dietterich, ICLR 2019): Gaussian, of standard
 *          deviation cfg->noise for pixels in [0, 1], which then are cut to [0, 1];
 *          on float data in its own units, and nothing is cut.
 *
 * The images are dealt out to cfg->draws patterns of flips, as evenly as they go; each has noise
 * of its own. The streams come from seed and id. */

/* Weights to int8 and back: of each output channel round(w / scale), scale = max |w| / 127,
 * with flips of probability @p in between; the number of flipped bits.
 * A batch norm behind a convolution is folded into it on a device, which scales a channel's
 * weights and its scale alike: these are the integers of the folded network too, but for their
 * sign where gamma is negative. */
uint64_t robustness_flip(struct model *m, double p, struct rng *rng);

struct robustness {
	const struct train_cfg *cfg;
	uint64_t seed, id;
	struct runner *runner; /* packs the weights of `model`, whose gradient is lost */
	struct model *model;
	size_t images;	/* to test on */
	bool noisy;	/* the test that runs has noise */
	uint64_t noise; /* names its streams */
};
/* Noise on @n images f32 [n][h][w][c], normalised as @norm says, the first of which has number
 * @first: the same on each whatever the calls. Only while r->noisy. */
void robustness_noise(const struct robustness *r, const struct dataset *norm, size_t first,
		      size_t n, struct net_shape shape, float *image);

/* Accuracy of the model as it is, with noise where r->noisy, on @n images from @first on. */
typedef enum nasc_status robustness_test(void *ctx, size_t first, size_t n, double *accuracy,
					 struct nasc_err *err);
/* Fill @out with the errors under those faults that cfg asks for. The model is afterwards as
 * before. Fails as @test does. */
enum nasc_status robustness_measure(struct robustness *r, robustness_test *test, void *ctx,
				    struct train_robustness *out, struct nasc_err *err);
#endif
