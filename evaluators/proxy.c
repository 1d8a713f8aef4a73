#include "proxy.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "batch.h"

/* ---- workers ------------------------------------------------------------------ */

enum nasc_status proxy_open(struct evaluator *e, void **worker, struct nasc_err *err)
{
	(void)e;
	*worker = calloc(1, sizeof(struct proxy));
	return *worker ? NASC_OK : nasc_fail(err, NASC_FAIL, "out of memory");
}

void proxy_close(struct evaluator *e, void *worker)
{
	struct proxy *p = worker;

	(void)e;
	arena_free(&p->arena);
	arena_free(&p->kept);
	free(p);
}

void proxy_machine(const void *cfg, char text[128])
{
	(void)cfg;
	plan_machine(false, text);
}

void proxy_machine_bf16(const void *cfg, char text[128])
{
	(void)cfg;
	plan_machine(plan_prefers_bf16(), text);
}

/* ---- networks ------------------------------------------------------------------- */

/* What the last global average pool reads becomes the output. */
enum nasc_status proxy_features(struct arena *a, struct network *net, struct nasc_err *err)
{
	struct net_op *op = ARENA_NEW(a, struct net_op, net->n_ops);

	for (size_t i = net->n_ops; i-- > 1;)
		if (net->op[i].kind == NET_GLOBAL_POOL) {
			size_t n = network_inputs(net, i)[0] + 1;

			if (n == 1)
				return nasc_fail(err, NASC_CONFIG,
						 "the global average pool reads the image itself");
			memcpy(op, net->op, n * sizeof *op);
			net->op = op;
			net->n_ops = net->cap_ops = n;
			return network_infer(net, err);
		}
	return nasc_fail(err, NASC_CONFIG, "the network has no global average pool");
}

enum nasc_status proxy_prepare(struct proxy *p, const struct network *net, uint32_t images,
			       const struct proxy_method *method, struct nasc_err *err)
{
	bool bf16 = method->bf16 && plan_prefers_bf16();

	conv_use_one_thread();
	if (plan_create(net, images, bf16, method->use, &p->arena, &p->plan, err) ||
	    plan_fits(&p->plan, 1, 0, err))
		return err->code;
	model_create(&p->model, &p->plan, &p->arena);
	runner_create(&p->runner, &p->plan, &p->model, &p->arena);
	p->runner.cancel = p->request->cancel;
	return NASC_OK;
}

void proxy_release(struct proxy *p)
{
	runner_release(&p->runner);
	plan_release(&p->plan);
}

/* ---- weights ---------------------------------------------------------------------- */

/* Two numbers, uniform in [-@most, @most], of one draw. */
static void row_uniform(float *w, size_t n, double most, struct rng *rng)
{
	float bound = (float)most * 0x1p-31f;

	for (size_t i = 0; i < n; i += 2) {
		uint64_t bits = rng_u64(rng);

		w[i] = bound * (float)(int32_t)(bits >> 32);
		if (i + 1 < n)
			w[i + 1] = bound * (float)(int32_t)bits;
	}
}

static void row_draw(float *w, size_t n, const struct param *q, enum proxy_weights weights,
		     struct rng *rng)
{
	double std = weights == PROXY_UNIT ? 1 : sqrt((q->dense ? 1 : 2) / q->fan_in);

	if (weights == PROXY_UNIFORM)
		row_uniform(w, n, 1 / sqrt(q->fan_in), rng);
	else
		for (size_t i = 0; i < n; i++)
			w[i] = (float)(std * rng_normal(rng));
}

/* Row by row; the weights between groups stay zero. */
static void weights_draw(float *all, const struct param *q, enum proxy_weights weights,
			 struct rng *rng)
{
	uint32_t in = q->in / q->groups, out = q->out / q->groups;

	for (size_t tap = 0; tap < q->taps; tap++)
		for (uint32_t i = 0; i < q->in; i++)
			row_draw(all + q->at + (tap * q->in_stored + i) * q->out_stored +
					 (q->groups > 1 ? i / in * out : 0),
				 out, q, weights, rng);
}

void proxy_draw(struct proxy *p, enum proxy_weights weights, struct rng *rng)
{
	const struct plan *plan = &p->plan;

	for (size_t k = 0; k < plan->n_params; k++) {
		const struct param *q = &plan->param[k];

		if (q->role == PARAM_WEIGHTS)
			weights_draw(p->model.weights, q, weights, rng);
		for (size_t i = 0; i < q->out && q->role == PARAM_GAMMA; i++)
			p->model.weights[q->at + i] = 1;
	}
	runner_pack(&p->runner);
}

/* ---- images ------------------------------------------------------------------------- */

/* Chosen once a worker: they are the same for all candidates of one input size. */
static void images_keep(struct proxy *p, const struct dataset *data, size_t n)
{
	struct net_shape shape = p->plan.input;
	struct batch batch;
	struct rng rng;

	if (p->image && p->n_kept == n && p->kept_seed == p->request->seed &&
	    memcmp(&p->kept_shape, &shape, sizeof shape) == 0)
		return;
	arena_free(&p->kept);
	p->image = ARENA_NEW(&p->kept, float, n *net_elements(shape));
	p->label = ARENA_NEW(&p->kept, uint8_t, n);
	p->n_kept = n;
	p->kept_seed = p->request->seed;
	p->kept_shape = shape;
	rng_stream(&rng, p->request->seed, RNG_PROXY, 0);
	batch_open(&batch, data, data, shape, &p->kept);
	batch_choose(&batch, n, &rng);
	batch_fetch(&batch, 0, n, p->image, p->label);
}

void proxy_load(struct proxy *p, size_t batch)
{
	size_t n = p->plan.images;

	runner_load(&p->runner, p->image + batch * n * net_elements(p->plan.input));
	p->runner.label = p->label + batch * n;
	p->runner.n_labels = 0;
}

/* ---- passes --------------------------------------------------------------------------- */

void proxy_gradients(struct proxy *p)
{
	p->runner.n_labels = p->plan.images;
	p->runner.loss_scale = 1 / (double)p->plan.images;
	runner_forward(&p->runner, RUN_TRAIN);
	if (!proxy_cancelled(p))
		runner_backward(&p->runner);
}

void proxy_backward(struct proxy *p)
{
	const struct plan *plan = &p->plan;
	const struct phase *loss = &plan->phase[plan->n_forward];

	plan->kernels->from_f32(p->runner.logits_gradient, runner_rows(&p->runner, loss->g),
				(size_t)plan->images * loss->pixels, loss->c);
	runner_backward(&p->runner);
}

void proxy_input_gradient(struct proxy *p, float *out)
{
	const struct plan *plan = &p->plan;

	plan->kernels->to_f32(runner_rows(&p->runner, plan->in_gradient), out,
			      (size_t)plan->images * plan->input.h * plan->input.w, plan->input.c);
}

/* ---- one network ------------------------------------------------------------------------ */

static enum nasc_status network_open(struct proxy *p, const struct evaluator *e,
				     const struct proxy_method *m, struct nasc_err *err)
{
	struct network net;
	size_t n = (size_t)p->cfg->images;

	if (m->batches && n > e->train->n / m->batches)
		n = e->train->n / m->batches;
	if (plan_resize(p->request->net, p->cfg->image_size, &p->arena, &net, err))
		return err->code;
	if (m->batches && dataset_check_channels(e->train, &net, err))
		return err->code;
	if (m->features && proxy_features(&p->arena, &net, err))
		return err->code;
	if (proxy_prepare(p, &net, (uint32_t)n, m, err))
		return err->code;
	if (m->batches)
		images_keep(p, e->train, m->batches * n);
	return m->begin ? m->begin(p, err) : NASC_OK;
}

static enum nasc_status network_score(struct proxy *p, const struct proxy_method *m, double *out,
				      struct nasc_err *err)
{
	struct rng rng;
	double sum = 0;

	rng_stream(&rng, p->request->seed, RNG_INIT, p->request->id);
	for (int64_t i = 0; i < p->cfg->repeats && !proxy_cancelled(p); i++) {
		proxy_draw(p, m->weights, &rng);
		if (m->batches)
			proxy_load(p, 0);
		sum += m->score(p, &rng);
	}
	*out = sum / (double)p->cfg->repeats;
	return isfinite(*out) ? NASC_OK : nasc_fail(err, NASC_FAIL, "%s", m->degenerate);
}

enum eval_outcome proxy_failed(const struct nasc_err *err, struct eval_result *result)
{
	snprintf(result->why, sizeof result->why, "%.*s", (int)sizeof result->why - 1, err->msg);
	return EVAL_FAILED;
}

enum eval_outcome proxy_run(struct evaluator *e, void *worker, const struct eval_request *request,
			    struct eval_result *result)
{
	const struct proxy_method *method = e->ops->method;
	struct proxy *p = worker;
	struct arena_mark mark = arena_mark(&p->arena);
	struct nasc_err err = { 0 };
	enum nasc_status st;

	p->cfg = e->cfg;
	p->request = request;
	st = network_open(p, e, method, &err);
	if (!st)
		st = network_score(p, method, &result->value[0], &err);
	proxy_release(p);
	arena_rewind(&p->arena, mark);
	if (proxy_cancelled(p))
		return EVAL_CANCELLED;
	return st ? proxy_failed(&err, result) : EVAL_OK;
}
