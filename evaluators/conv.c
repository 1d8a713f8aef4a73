#include "conv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Debian's oneDNN runs on GNU OpenMP, whose header clang does not bring. */
void omp_set_num_threads(int n);

void conv_use_one_thread(void)
{
	omp_set_num_threads(1);
}

/* A call that can only fail by our own fault. */
static void must(dnnl_status_t s)
{
	if (s != dnnl_success)
		abort();
}

static dnnl_memory_desc_t desc(int n, const int64_t *dims, dnnl_data_type_t type,
			       dnnl_format_tag_t tag)
{
	dnnl_memory_desc_t md;
	dnnl_dims_t all = { 0 };

	memcpy(all, dims, (size_t)n * sizeof *all);
	must(dnnl_memory_desc_init_by_tag(&md, n, all, type, tag));
	return md;
}

struct descs {
	dnnl_memory_desc_t weights, diff_weights; /* layout left to oneDNN */
	const dnnl_memory_desc_t *bias;
};

static struct descs describe(struct conv *c)
{
	const struct conv_shape *s = &c->shape;
	dnnl_data_type_t type = s->bf16 ? dnnl_bf16 : dnnl_f32;
	bool deep = s->kind == CONV_DEPTHWISE;
	int64_t src[4] = { s->images, s->in, s->h, s->w };
	int64_t dst[4] = { s->images, s->out, s->oh, s->ow };
	int64_t full[4] = { s->out, s->in, s->kh, s->kw };
	int64_t each[5] = { s->out, 1, 1, s->kh, s->kw };
	const int64_t *w = deep ? each : full;
	int n = deep ? 5 : 4;
	struct descs d;

	c->n_weights = (size_t)(s->out * (deep ? 1 : s->in) * s->kh * s->kw);
	c->src = desc(4, src, type, dnnl_nhwc);
	c->dst =
		s->kind == CONV_DENSE ? desc(2, dst, type, dnnl_nc) : desc(4, dst, type, dnnl_nhwc);
	c->plain = desc(n, w, dnnl_f32, deep ? dnnl_decab : dnnl_cdba);
	c->bias_md = desc(1, dst + 1, dnnl_f32, dnnl_x);
	d.weights = desc(n, w, type, dnnl_format_tag_any);
	d.diff_weights = desc(n, w, dnnl_f32, dnnl_format_tag_any);
	d.bias = s->bias ? &c->bias_md : NULL;
	return d;
}

union op_desc {
	dnnl_convolution_desc_t conv;
	dnnl_inner_product_desc_t dense;
};

static dnnl_status_t op_init(const struct conv *c, const struct descs *d, enum conv_pass pass,
			     union op_desc *op)
{
	const struct conv_shape *s = &c->shape;
	dnnl_dims_t stride = { s->stride, s->stride };
	dnnl_dims_t low = { s->top, s->left }, high = { s->bottom, s->right };
	dnnl_alg_kind_t alg = dnnl_convolution_direct;

	if (s->kind == CONV_DENSE) {
		if (pass == CONV_FORWARD)
			return dnnl_inner_product_forward_desc_init(&op->dense,
								    dnnl_forward_training, &c->src,
								    &d->weights, d->bias, &c->dst);
		if (pass == CONV_BACK_DATA)
			return dnnl_inner_product_backward_data_desc_init(&op->dense, &c->src,
									  &d->weights, &c->dst);
		return dnnl_inner_product_backward_weights_desc_init(
			&op->dense, &c->src, &d->diff_weights, d->bias, &c->dst);
	}
	if (pass == CONV_FORWARD)
		return dnnl_convolution_forward_desc_init(&op->conv, dnnl_forward_training, alg,
							  &c->src, &d->weights, d->bias, &c->dst,
							  stride, low, high);
	if (pass == CONV_BACK_DATA)
		return dnnl_convolution_backward_data_desc_init(
			&op->conv, alg, &c->src, &d->weights, &c->dst, stride, low, high);
	return dnnl_convolution_backward_weights_desc_init(
		&op->conv, alg, &c->src, &d->diff_weights, d->bias, &c->dst, stride, low, high);
}

static enum nasc_status pass_create(struct conv *c, const struct descs *d, enum conv_pass pass,
				    const_dnnl_primitive_desc_t hint, dnnl_primitive_desc_t *out,
				    struct nasc_err *err)
{
	dnnl_primitive_attr_t attr;
	union op_desc op;
	const char *name = NULL;
	dnnl_status_t s;

	if (op_init(c, d, pass, &op) != dnnl_success)
		return nasc_fail(err, NASC_FAIL, "oneDNN refuses the shape of a convolution");
	must(dnnl_primitive_attr_create(&attr));
	must(dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user));
	s = dnnl_primitive_desc_create(out, &op, attr, c->engine, hint);
	must(dnnl_primitive_attr_destroy(attr));
	if (s != dnnl_success)
		return nasc_fail(err, NASC_FAIL, "oneDNN has no code for a convolution");
	must(dnnl_primitive_desc_query(*out, dnnl_query_impl_info_str, 0, (void *)&name));
	snprintf(c->names[pass], sizeof c->names[pass], "%s", name);
	c->implementation[pass] = c->names[pass];
	if (strncmp(name, "ref", 3) == 0)
		return nasc_fail(err, NASC_FAIL,
				 "oneDNN has only its reference code for a convolution");
	c->packed[pass] = *dnnl_primitive_desc_query_md(
		*out,
		pass == CONV_BACK_WEIGHTS ? dnnl_query_diff_weights_md : dnnl_query_weights_md, 0);
	c->scratch[pass] = *dnnl_primitive_desc_query_md(*out, dnnl_query_scratchpad_md, 0);
	if (dnnl_primitive_create(&c->pass[pass], *out) != dnnl_success)
		return nasc_fail(err, NASC_FAIL, "oneDNN cannot build a convolution");
	return NASC_OK;
}

static enum nasc_status reorder_create(dnnl_engine_t engine, const dnnl_memory_desc_t *from,
				       const dnnl_memory_desc_t *to, dnnl_primitive_t *out,
				       struct nasc_err *err)
{
	dnnl_primitive_desc_t pd;
	dnnl_status_t s;

	if (dnnl_reorder_primitive_desc_create(&pd, from, engine, to, engine, NULL) != dnnl_success)
		return nasc_fail(err, NASC_FAIL, "oneDNN cannot reorder a convolution's weights");
	s = dnnl_primitive_create(out, pd);
	must(dnnl_primitive_desc_destroy(pd));
	if (s != dnnl_success)
		return nasc_fail(err, NASC_FAIL, "oneDNN cannot reorder a convolution's weights");
	return NASC_OK;
}

enum nasc_status conv_create(struct conv *c, const struct conv_shape *shape, dnnl_engine_t engine,
			     struct nasc_err *err)
{
	dnnl_primitive_desc_t pd[CONV_PASSES] = { NULL };
	enum nasc_status st = NASC_OK;
	struct descs d;

	*c = (struct conv){ .shape = *shape, .engine = engine };
	d = describe(c);
	for (int p = 0; p < CONV_PASSES && !st; p++)
		if (conv_has_pass(shape, (enum conv_pass)p))
			st = pass_create(c, &d, (enum conv_pass)p, pd[CONV_FORWARD], &pd[p], err);
	for (int p = 0; p < CONV_PASSES; p++)
		if (pd[p])
			must(dnnl_primitive_desc_destroy(pd[p]));
	for (int p = CONV_FORWARD; p <= CONV_BACK_DATA && !st; p++)
		if (c->pass[p])
			st = reorder_create(engine, &c->plain, &c->packed[p], &c->pack[p], err);
	if (!st && c->pass[CONV_BACK_WEIGHTS])
		st = reorder_create(engine, &c->packed[CONV_BACK_WEIGHTS], &c->plain, &c->unpack,
				    err);
	if (st)
		conv_release(c);
	return st;
}

void conv_release(struct conv *c)
{
	for (int p = 0; p < CONV_PASSES; p++)
		if (c->pass[p])
			must(dnnl_primitive_destroy(c->pass[p]));
	for (int p = 0; p < 2; p++)
		if (c->pack[p])
			must(dnnl_primitive_destroy(c->pack[p]));
	if (c->unpack)
		must(dnnl_primitive_destroy(c->unpack));
	*c = (struct conv){ 0 };
}

size_t conv_packed_bytes(const struct conv *c, enum conv_pass pass)
{
	return c->pass[pass] ? dnnl_memory_desc_get_size(&c->packed[pass]) : 0;
}

size_t conv_scratch_bytes(const struct conv *c)
{
	size_t most = 0;

	for (int p = 0; p < CONV_PASSES; p++)
		if (c->pass[p]) {
			size_t n = dnnl_memory_desc_get_size(&c->scratch[p]);

			most = n > most ? n : most;
		}
	return most;
}

static dnnl_memory_t wrap(struct conv_run *r, const dnnl_memory_desc_t *md, void *at)
{
	dnnl_memory_t m;

	must(dnnl_memory_create(&m, md, r->conv->engine, at));
	return r->memory[r->n_memory++] = m;
}

static void give(struct conv_run *r, enum conv_pass pass, int arg, const dnnl_memory_desc_t *md,
		 void *at)
{
	r->arg[pass][r->n_arg[pass]++] = (dnnl_exec_arg_t){ arg, wrap(r, md, at) };
}

static void bind_pack(struct conv_run *r, int p, const struct conv_memory *m)
{
	r->pack_arg[p][0] =
		(dnnl_exec_arg_t){ DNNL_ARG_FROM, wrap(r, &r->conv->plain, m->weights) };
	r->pack_arg[p][1] =
		(dnnl_exec_arg_t){ DNNL_ARG_TO, wrap(r, &r->conv->packed[p], m->packed[p]) };
}

void conv_bind(struct conv_run *r, const struct conv *c, const struct conv_memory *m)
{
	const dnnl_memory_desc_t *dw = &c->packed[CONV_BACK_WEIGHTS];

	*r = (struct conv_run){ .conv = c };
	for (int p = 0; p < CONV_PASSES; p++)
		if (c->pass[p])
			give(r, (enum conv_pass)p, DNNL_ARG_SCRATCHPAD, &c->scratch[p], m->scratch);
	give(r, CONV_FORWARD, DNNL_ARG_SRC, &c->src, NULL);
	give(r, CONV_FORWARD, DNNL_ARG_WEIGHTS, &c->packed[CONV_FORWARD], m->packed[CONV_FORWARD]);
	give(r, CONV_FORWARD, DNNL_ARG_DST, &c->dst, NULL);
	if (c->shape.bias)
		give(r, CONV_FORWARD, DNNL_ARG_BIAS, &c->bias_md, m->bias);
	bind_pack(r, CONV_FORWARD, m);
	if (c->pass[CONV_BACK_DATA]) {
		give(r, CONV_BACK_DATA, DNNL_ARG_DIFF_DST, &c->dst, NULL);
		give(r, CONV_BACK_DATA, DNNL_ARG_WEIGHTS, &c->packed[CONV_BACK_DATA],
		     m->packed[CONV_BACK_DATA]);
		give(r, CONV_BACK_DATA, DNNL_ARG_DIFF_SRC, &c->src, NULL);
		bind_pack(r, CONV_BACK_DATA, m);
	}
	if (!c->pass[CONV_BACK_WEIGHTS])
		return;
	give(r, CONV_BACK_WEIGHTS, DNNL_ARG_SRC, &c->src, NULL);
	give(r, CONV_BACK_WEIGHTS, DNNL_ARG_DIFF_DST, &c->dst, NULL);
	give(r, CONV_BACK_WEIGHTS, DNNL_ARG_DIFF_WEIGHTS, dw, m->packed[CONV_BACK_WEIGHTS]);
	if (c->shape.bias)
		give(r, CONV_BACK_WEIGHTS, DNNL_ARG_DIFF_BIAS, &c->bias_md, m->diff_bias);
	r->unpack_arg[0] =
		(dnnl_exec_arg_t){ DNNL_ARG_FROM, wrap(r, dw, m->packed[CONV_BACK_WEIGHTS]) };
	r->unpack_arg[1] = (dnnl_exec_arg_t){ DNNL_ARG_TO, wrap(r, &c->plain, m->diff_weights) };
}

void conv_unbind(struct conv_run *r)
{
	for (size_t i = 0; i < r->n_memory; i++)
		must(dnnl_memory_destroy(r->memory[i]));
	*r = (struct conv_run){ 0 };
}

void conv_pack(const struct conv_run *r, dnnl_stream_t stream)
{
	for (int p = 0; p < 2; p++)
		if (r->conv->pack[p])
			must(dnnl_primitive_execute(r->conv->pack[p], stream, 2, r->pack_arg[p]));
}

static void move(const struct conv_run *r, enum conv_pass pass, int arg, void *at)
{
	for (int i = 0; i < r->n_arg[pass]; i++)
		if (r->arg[pass][i].arg == arg)
			must(dnnl_memory_set_data_handle(r->arg[pass][i].memory, at));
}

void conv_execute(const struct conv_run *r, enum conv_pass pass, void *a, void *b,
		  dnnl_stream_t stream)
{
	move(r, pass, pass == CONV_BACK_DATA ? DNNL_ARG_DIFF_DST : DNNL_ARG_SRC, a);
	move(r, pass,
	     pass == CONV_FORWARD     ? DNNL_ARG_DST
	     : pass == CONV_BACK_DATA ? DNNL_ARG_DIFF_SRC
				      : DNNL_ARG_DIFF_DST,
	     b);
	must(dnnl_primitive_execute(r->conv->pass[pass], stream, r->n_arg[pass], r->arg[pass]));
	if (pass == CONV_BACK_WEIGHTS)
		must(dnnl_primitive_execute(r->conv->unpack, stream, 2, r->unpack_arg));
}
