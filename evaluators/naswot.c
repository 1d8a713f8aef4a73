#include <math.h>
#include <string.h>

#include "proxy.h"

/* NASWOT, Mellor et al., ICML 2021 (arXiv 2006.04647): how differently the ReLUs
 * of an untrained network open for different images. Image i gives each ReLU
 * layer a binary code c_i; K_ij = sum over the layers of (units - Hamming
 * distance of c_i and c_j); the score is log |det K|. */

static const struct cfg_field naswot_fields[] = {
	PROXY_IMAGES_FIELD("32", "training images compared, the same for all candidates"),
	PROXY_REPEATS_FIELD("3"), PROXY_SIZE_FIELD, CFG_END
};

struct naswot {
	double *kernel;	 /* images * images */
	uint32_t **code; /* of each of the plan's codes: images * words */
};

/* log |det| of the kernel matrix, destroyed; -INFINITY when singular. LU with partial
 * pivoting. Of no meaning once cancelled. */
static double log_det(const struct proxy *p, double *k)
{
	size_t n = p->plan.images;
	double sum = 0;

	for (size_t c = 0; c < n && !proxy_cancelled(p); c++) {
		size_t pivot = c;

		for (size_t r = c + 1; r < n; r++)
			pivot = fabs(k[r * n + c]) > fabs(k[pivot * n + c]) ? r : pivot;
		for (size_t i = 0; i < n && pivot != c; i++) {
			double t = k[c * n + i];

			k[c * n + i] = k[pivot * n + i];
			k[pivot * n + i] = t;
		}
		sum += log(fabs(k[c * n + c]));
		if (!isfinite(sum))
			return -(double)INFINITY;
		for (size_t r = c + 1; r < n; r++) {
			double f = k[r * n + c] / k[c * n + c];

			for (size_t i = c; i < n; i++)
				k[r * n + i] -= f * k[c * n + i];
		}
	}
	return sum;
}

static uint32_t differ(const uint32_t *a, const uint32_t *b, size_t words)
{
	uint32_t n = 0;

	for (size_t i = 0; i < words; i += 2) {
		uint64_t x, y;

		memcpy(&x, a + i, sizeof x);
		memcpy(&y, b + i, sizeof y);
		n += (uint32_t)__builtin_popcountll(x ^ y);
	}
	return n;
}

/* Take the codes of some images; with the last ones add the layer to the kernel matrix. */
static void layer_add(void *ctx, const struct plan_code *c)
{
	struct proxy *p = ctx;
	const struct naswot *s = p->state;
	size_t n = p->plan.images, words = kernel_signs_words(c->pixels, c->c);
	size_t size = p->plan.bf16 ? 2 : 4, first = p->runner.first, count = p->runner.count;
	uint32_t *code = s->code[c - p->plan.code];
	struct rows y = runner_rows(&p->runner, c->y);
	double units = (double)c->pixels * c->c;

	memset(code + first * words, 0, count * words * sizeof *code);
	for (size_t i = 0; i < count; i++) {
		struct rows image = { (char *)y.at + i * c->pixels * y.stride * size, y.stride,
				      y.whole };

		p->plan.kernels->signs(image, c->pixels, c->c, code + (first + i) * words);
	}
	if (first + count < n)
		return;
	for (size_t i = 0; i < n && !proxy_cancelled(p); i++)
		for (size_t j = 0; j <= i; j++) {
			double equal = units - differ(code + i * words, code + j * words, words);

			s->kernel[i * n + j] += c->times * equal;
			s->kernel[j * n + i] = s->kernel[i * n + j];
		}
}

static enum nasc_status begin(struct proxy *p, struct nasc_err *err)
{
	struct naswot *s = p->state = ARENA_NEW(&p->arena, struct naswot, 1);
	size_t n = p->plan.images;

	if (p->plan.n_codes == 0)
		return nasc_fail(err, NASC_CONFIG, "the network has no ReLU to take codes from");
	s->code = ARENA_NEW(&p->arena, uint32_t *, p->plan.n_codes);
	for (size_t i = 0; i < p->plan.n_codes; i++) {
		size_t words = kernel_signs_words(p->plan.code[i].pixels, p->plan.code[i].c);

		s->code[i] = ARENA_NEW(&p->arena, uint32_t, n * words);
	}
	s->kernel = ARENA_NEW(&p->arena, double, n *n);
	p->runner.see_code = layer_add;
	p->runner.see_ctx = p;
	return NASC_OK;
}

static double score(struct proxy *p, struct rng *rng)
{
	struct naswot *s = p->state;
	size_t n = p->plan.images;

	(void)rng;
	memset(s->kernel, 0, n * n * sizeof *s->kernel);
	runner_forward(&p->runner, RUN_TRAIN);
	return log_det(p, s->kernel);
}

static const struct proxy_method naswot_method = {
	.use = PLAN_FORWARD,
	.bf16 = true,
	.batches = 1,
	.begin = begin,
	.score = score,
	.degenerate = "the kernel matrix is singular: two images open the same ReLUs",
};

static const struct metric naswot_metrics[] = {
	{ "naswot", "naswot", UNIT_NONE, true, false,
	  "proxy: log-determinant of the ReLU codes' kernel, untrained" },
};

const struct evaluator_ops evaluator_naswot = {
	.name = "naswot",
	.summary = "proxy: how differently the ReLUs of the untrained network open for images",
	.source = "Mellor et al., ICML 2021, arXiv 2006.04647",
	.metric = naswot_metrics,
	.n_metrics = 1,
	.provenance = "proxy: NASWOT of the untrained network",
	.needs_data = true,
	.fields = naswot_fields,
	.cfg_size = sizeof(struct proxy_cfg),
	.machine = proxy_machine_bf16,
	.worker_open = proxy_open,
	.run = proxy_run,
	.worker_close = proxy_close,
	.method = &naswot_method,
};
