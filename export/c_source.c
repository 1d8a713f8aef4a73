#include "c_source.h"

#include <inttypes.h>

void c_write_bytes(FILE *fp, const int8_t *byte, size_t n)
{
	for (size_t i = 0; i < n; i++)
		fprintf(fp, "%s%d,", i % 24 ? "" : "\n\t", byte[i]);
}

/* ---- constants ---------------------------------------------------------------------- */

static bool has_weights(const struct quantised *q, size_t op)
{
	return q->op[op].weights != NULL;
}

/* The union begins on a multiple of 4 bytes in any C. */
static void write_weights(const struct quantised *q, size_t op, FILE *fp, struct arena *a)
{
	struct arena_mark mark = arena_mark(a);
	uint64_t n = firmware_weight_bytes(&q->net, op);
	int8_t *packed = ARENA_NEW(a, int8_t, n);

	firmware_pack(&q->net, op, q->op[op].weights, packed);
	fprintf(fp,
		"static const union {\n\tint8_t byte[%" PRIu64
		"];\n\tint32_t align;\n} weights_%zu = {{",
		n, op);
	c_write_bytes(fp, packed, n);
	fputs("\n} };\n", fp);
	arena_rewind(a, mark);
}

/* Number @i of an array of pairs. */
static void write_pair(FILE *fp, uint32_t i, int32_t a, int32_t b)
{
	fprintf(fp, "%s{ %" PRId32 ", %" PRId32 " },", i % 4 ? " " : "\n\t", a, b);
}

static void write_requant(const struct quantised_op *o, size_t op, FILE *fp)
{
	fprintf(fp, "static const struct nasc_requant requant_%zu[] = {", op);
	for (uint32_t i = 0; i < o->n_requant; i++)
		write_pair(fp, i, o->requant[i].offset, o->requant[i].multiplier);
	fputs("\n};\n", fp);
}

static void write_affine(const struct quantised_op *o, size_t op, uint32_t n, FILE *fp)
{
	fprintf(fp, "static const struct nasc_affine affine_%zu[] = {", op);
	for (uint32_t i = 0; i < n; i++)
		write_pair(fp, i, o->affine[i].constant, o->affine[i].factor);
	fputs("\n};\n", fp);
}

static void write_factors(const struct quantised_op *o, size_t op, uint32_t n, FILE *fp)
{
	fprintf(fp, "static const int32_t factor_%zu[] = {", op);
	for (uint32_t i = 0; i < n; i++)
		fprintf(fp, " %" PRId32 ",", o->affine[i].factor);
	fputs(" };\n", fp);
}

static void write_window(const struct quantised *q, size_t op, FILE *fp)
{
	const struct net_op *o = &q->net.op[op];
	struct net_shape in = network_in_shape(&q->net, op);
	uint32_t h = o->kernel_h, w = o->kernel_w, stride = o->stride;

	if (o->kind == NET_GLOBAL_POOL) {
		h = in.h;
		w = in.w;
		stride = 1;
	}
	fprintf(fp,
		"static const struct nasc_window window_%zu = {\n"
		"\t.in_h = %u, .in_w = %u, .in_c = %u, .out_h = %u, .out_w = %u, .out_c = %u,\n"
		"\t.kernel_h = %u, .kernel_w = %u, .stride = %u, .pad_top = %u, .pad_left = %u,\n"
		"\t.out_line = %u, .zero = %" PRId32 ",\n",
		op, in.h, in.w, in.c, o->out.h, o->out.w, o->out.c, h, w, stride, o->pad_top,
		o->pad_left, o->out.w, q->op[network_inputs(&q->net, op)[0]].zero);
	if (has_weights(q, op))
		fprintf(fp, "\t.weights = weights_%zu.byte,\n", op);
	if (q->op[op].n_requant)
		fprintf(fp, "\t.requant = requant_%zu,\n", op);
	fputs("};\n", fp);
}

static void write_constants(const struct export_c *e, size_t op, FILE *fp, struct arena *a)
{
	const struct quantised *q = e->network;
	const struct net_op *o = &q->net.op[op];

	fprintf(fp, "\n/* operator %zu, before folding %" PRIu32 ": %s, %ux%ux%u */\n", op,
		e->plan->origin[op], net_kind_name(o->kind), o->out.h, o->out.w, o->out.c);
	if (has_weights(q, op))
		write_weights(q, op, fp, a);
	if (q->op[op].n_requant)
		write_requant(&q->op[op], op, fp);
	if (o->kind == NET_BATCH_NORM)
		write_affine(&q->op[op], op, o->out.c, fp);
	if (o->kind == NET_ADD)
		write_factors(&q->op[op], op, o->n_inputs, fp);
	if (firmware_has_window(o->kind))
		write_window(q, op, fp);
}

/* ---- calls --------------------------------------------------------------------------- */

/* Of an operator's kernel: on whole maps, or, in run_part(), on part (i, j) of them. */
struct call {
	const struct export_c *e;
	uint32_t op;
	bool in_part;
	FILE *fp;
};

/* What is held of @op's output where the call is. */
static void write_held(const struct call *c, uint32_t op)
{
	if (op == c->e->plan->end)
		fputs("whole", c->fp);
	else if (op == c->op)
		fputs("out", c->fp);
	else
		fprintf(c->fp, "part(%u, i, j)", op);
}

static void write_map(const struct call *c, uint32_t op, uint32_t channel)
{
	fprintf(c->fp, "arena.byte + %" PRIu64, c->e->plan->output[op] + channel);
}

/* The same, in a part of the row @row of what the call is to make. */
static void write_row(const struct call *c, uint32_t op, uint32_t channel, const char *row)
{
	write_map(c, op, channel);
	if (!c->in_part)
		return;
	fputs(" + nasc_part_row(", c->fp);
	write_held(c, op);
	fprintf(c->fp, ", out, %s, %u)", row, c->e->network->net.op[op].out.c);
}

/* The statement is of all pixels, in a part of the pixels of one row after the other. */
static void begin_rows(const struct call *c)
{
	if (c->in_part)
		fputs("\n\t\tfor (uint32_t row = 0; row < out.rows.cells; row++)\n\t\t", c->fp);
}

/* So many for each of these pixels. */
static void write_count(const struct call *c, uint32_t of_pixel)
{
	struct net_shape out = c->e->network->net.op[c->op].out;

	if (c->in_part)
		fprintf(c->fp, "%uu * out.columns.cells", of_pixel);
	else
		fprintf(c->fp, "%" PRIu64, (uint64_t)out.h * out.w * of_pixel);
}

static void write_add(const struct call *c)
{
	const struct quantised_op *q = &c->e->network->op[c->op];
	const struct net_op *o = &c->e->network->net.op[c->op];

	begin_rows(c);
	fprintf(c->fp, "\tnasc_add(%" PRId32 ", factor_%u, %u, %u, ", q->affine[0].constant, c->op,
		q->shift, o->n_inputs);
	write_count(c, o->out.c);
	fputs(", (const int8_t *const[]){", c->fp);
	for (uint32_t k = 0; k < o->n_inputs; k++) {
		fputs(k ? ",\n\t\t\t " : "\n\t\t\t ", c->fp);
		write_row(c, network_inputs(&c->e->network->net, c->op)[k], 0, "row");
	}
	fputs(" },\n\t\t ", c->fp);
	write_row(c, c->op, 0, "row");
	fputs(");\n", c->fp);
}

static void write_concat(const struct call *c)
{
	const struct quantised_op *q = &c->e->network->op[c->op];
	const struct network *net = &c->e->network->net;
	const struct net_op *o = &net->op[c->op];
	uint32_t at = 0;

	for (uint32_t k = 0; k < o->n_inputs; k++) {
		uint32_t in = network_inputs(net, c->op)[k], channels = net->op[in].out.c;

		begin_rows(c);
		fprintf(c->fp,
			"\tnasc_place((struct nasc_affine){ %" PRId32 ", %" PRId32 " }, %u, ",
			q->affine[k].constant, q->affine[k].factor, q->shift);
		write_count(c, 1);
		fprintf(c->fp, ", %u, %u, ", channels, o->out.c);
		write_row(c, in, 0, "row");
		fputs(",\n\t\t   ", c->fp);
		write_row(c, c->op, at, "row");
		fputs(");\n", c->fp);
		at += channels;
	}
}

/* What follows the first arguments of a kernel that takes pixel for pixel. */
static void write_x_and_y(const struct call *c)
{
	fputs(", ", c->fp);
	write_row(c, network_inputs(&c->e->network->net, c->op)[0], 0, "row");
	fputs(", ", c->fp);
	write_row(c, c->op, 0, "row");
	fputs(");\n", c->fp);
}

static void write_scale(const struct call *c)
{
	begin_rows(c);
	fprintf(c->fp, "\tnasc_scale(affine_%u, %u, ", c->op, c->e->network->op[c->op].shift);
	write_count(c, 1);
	fprintf(c->fp, ", %u", c->e->network->net.op[c->op].out.c);
	write_x_and_y(c);
}

static void write_clamp(const struct call *c)
{
	begin_rows(c);
	fprintf(c->fp, "\tnasc_clamp(%" PRId32 ", %" PRId32 ", ", c->e->network->op[c->op].zero,
		quantised_high(c->e->network, c->op));
	write_count(c, c->e->network->net.op[c->op].out.c);
	write_x_and_y(c);
}

static void write_window_call(const struct call *c)
{
	static const char *const kernel[NET_KIND_COUNT] = { [NET_CONV2D] = "conv",
							    [NET_DEPTHWISE] = "depthwise",
							    [NET_DENSE] = "dense",
							    [NET_MAX_POOL] = "max_pool",
							    [NET_AVG_POOL] = "mean_pool",
							    [NET_GLOBAL_POOL] = "mean_pool",
							    [NET_PAD] = "pad",
							    [NET_UPSAMPLE] = "upsample" };
	const struct network *net = &c->e->network->net;
	enum net_kind kind = net->op[c->op].kind;
	uint32_t in = network_inputs(net, c->op)[0];

	if (c->in_part) {
		fprintf(c->fp, "\t\tconst struct nasc_window w = nasc_part_window(&window_%u, ",
			c->op);
		write_held(c, in);
		fputs(", out, ", c->fp);
		write_held(c, c->op);
		fprintf(c->fp, ");\n\n\t\tnasc_%s(&w, ", kernel[kind]);
	} else {
		fprintf(c->fp, "\tnasc_%s(&window_%u, ", kernel[kind], c->op);
	}
	write_map(c, in, 0);
	fputs(", ", c->fp);
	if (c->op == c->e->plan->end)
		write_row(c, c->op, 0, "0");
	else
		write_map(c, c->op, 0);
	if (kind == NET_CONV2D || kind == NET_DEPTHWISE)
		fprintf(c->fp, ", arena.byte + %" PRIu64, c->e->plan->scratch[c->op]);
	fputs(");\n", c->fp);
}

static void write_call(const struct call *c)
{
	switch (c->e->network->net.op[c->op].kind) {
	case NET_ADD:
		write_add(c);
		break;
	case NET_CONCAT:
		write_concat(c);
		break;
	case NET_BATCH_NORM:
		write_scale(c);
		break;
	case NET_RELU:
	case NET_RELU6:
		write_clamp(c);
		break;
	default:
		write_window_call(c);
	}
}

/* ---- parts --------------------------------------------------------------------------- */

static void write_spans(const struct firmware_plan *p, const char *name,
			const struct nasc_span *span, FILE *fp)
{
	fprintf(fp, "static const struct nasc_span %s[%u][%u] = {", name, p->end + 1, p->grid);
	for (uint32_t op = 0; op <= p->end; op++) {
		fputs("\n\t{", fp);
		for (uint32_t g = 0; g < p->grid; g++, span++)
			fprintf(fp, " { %u, %u },", span->first, span->cells);
		fputs(" },", fp);
	}
	fputs("\n};\n", fp);
}

/* The operators up to plan->end on one part. */
static void write_part(const struct export_c *e, FILE *fp)
{
	const struct firmware_plan *p = e->plan;
	struct net_shape whole = e->network->net.op[p->end].out;

	fputs("\n/* What is held of an operator's output in a part, along each side. */\n", fp);
	write_spans(p, "rows", p->rows, fp);
	write_spans(p, "columns", p->columns, fp);
	fprintf(fp,
		"\nstatic struct nasc_part part(uint32_t op, uint32_t i, uint32_t j)\n{\n"
		"\treturn (struct nasc_part){ rows[op][i], columns[op][j] };\n}\n\n"
		"static void run_part(uint32_t i, uint32_t j)\n{\n"
		"\tconst struct nasc_part whole = { { 0, %u }, { 0, %u } };\n",
		whole.h, whole.w);
	for (uint32_t k = 1; k < p->n_patched; k++) {
		struct call c = { e, p->order[k], true, fp };

		fprintf(fp, "\n\t{\n\t\tconst struct nasc_part out = part(%u, i, j);\n", c.op);
		write_call(&c);
		fputs("\t}\n", fp);
	}
	fputs("}\n\n", fp);
}

static void write_parts(const struct firmware_plan *p, FILE *fp)
{
	fprintf(fp,
		"\tfor (uint32_t i = 0; i < %u; i++)\n\t\tfor (uint32_t j = 0; j < %u; j++)\n"
		"\t\t\trun_part(i, j);\n",
		p->grid, p->grid);
}

/* ---- the source ------------------------------------------------------------------------ */

void c_write_source(const struct export_c *e, FILE *fp, struct arena *a)
{
	const struct network *net = &e->network->net;
	const struct firmware_plan *p = e->plan;
	size_t last = net->n_ops - 1;

	fprintf(fp, "#include \"%s.h\"\n\n#include <string.h>\n\n#include \"nasc_kernels.h\"\n",
		e->name);
	for (size_t i = 1; i < net->n_ops; i++)
		write_constants(e, i, fp, a);
	fprintf(fp,
		"\nstatic union {\n\tint8_t byte[%" PRIu64 "];\n\tint32_t align;\n} arena;\n\n"
		"int8_t *%s_input(void)\n{\n\treturn arena.byte + %" PRIu64 ";\n}\n\n",
		p->arena_bytes, e->name, p->output[0]);
	if (p->n_patched)
		write_part(e, fp);
	fprintf(fp,
		"int %s_run(const int8_t *in, int8_t *out)\n{\n\tint best = 0;\n\n"
		"\tif (in != arena.byte + %" PRIu64 ")\n\t\tmemcpy(arena.byte + %" PRIu64
		", in, %" PRIu64 ");\n",
		e->name, p->output[0], p->output[0], net_elements(net->input));
	if (p->n_patched)
		write_parts(p, fp);
	for (uint32_t k = p->n_patched ? p->n_patched : 1; k < p->n_ops; k++)
		write_call(&(struct call){ e, p->order[k], false, fp });
	fprintf(fp,
		"\tmemcpy(out, arena.byte + %" PRIu64
		", %u);\n\tfor (int i = 1; i < %u; i++)\n\t\tif (out[i] > out[best])\n"
		"\t\t\tbest = i;\n\treturn best;\n}\n",
		p->output[last], net->classes, net->classes);
}
