/* Rates of the microcontroller's cycle model, fitted to measured latencies: docs/calibration.md.
 *
 *     calibrate OWN.csv TARGET.yaml [--write]     a board of one's own
 *     calibrate --published MEASURED.csv [--write]    the targets of this repository */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "calibrate_csv.h"
#include "calibrate_fit.h"
#include "calibrate_target.h"
#include "deployed.h"

#define NAMES_MAX 512

/* Numbers for names, in the order of their first mention. */
struct names {
	const char *name[NAMES_MAX];
	size_t n;
};

struct calibration {
	struct arena arena;
	struct names group, setting, network;
	struct fit_row *row;
	size_t n_rows;
	/* Of each row, relative, from fits that did not see its network; NAN: not known. */
	double *error, *energy_error;
};

static void must(enum nasc_status status, const struct nasc_err *err)
{
	if (status == NASC_OK)
		return;
	fprintf(stderr, "error: %s\n", err->msg);
	exit(nasc_exit_code(status));
}

static void say_written(const char *path, bool written)
{
	if (written)
		printf("wrote %s\n", path);
	else
		printf("nothing is written, --write changes %s\n", path);
}

static size_t number_of(struct names *names, const char *name)
{
	size_t i = 0;
	struct nasc_err err;

	while (i < names->n && strcmp(names->name[i], name) != 0)
		i++;
	if (i == NAMES_MAX)
		must(nasc_fail(&err, NASC_DATA, "more than %d names", NAMES_MAX), &err);
	names->name[i] = name;
	names->n += i == names->n;
	return i;
}

static const char *joined(struct arena *a, const char *x, const char *between, const char *y)
{
	size_t n = strlen(x) + strlen(between) + strlen(y) + 1;
	char *text = ARENA_NEW(a, char, n);

	snprintf(text, n, "%s%s%s", x, between, y);
	return text;
}

static void work_of(const struct network *net, double work[MCU_N_RATES], struct arena *scratch)
{
	struct arena_mark mark = arena_mark(scratch);
	struct deployed d;

	deployed_init(&d, net, scratch);
	memset(work, 0, MCU_N_RATES * sizeof *work);
	for (size_t i = 0; i < d.net.n_ops; i++) {
		double one[MCU_N_RATES];

		mcu_work(&d.net, i, one);
		for (size_t r = 0; r < MCU_N_RATES; r++)
			work[r] += one[r];
	}
	arena_rewind(scratch, mark);
}

/* ---- published measurements ---------------------------------------------------------- */

/* Does @value agree with what is printed, to half of the last digit ("6.4M")? */
static bool agrees(const char *printed, double value)
{
	char *end;
	double v = strtod(printed, &end), unit = *end == 'M' ? 1e6 : 1;
	const char *point = strchr(printed, '.');
	double digit = point && point < end ? pow(10, -(double)(end - point - 1)) : 1;

	return fabs(v * unit - value) <= 0.5 * digit * unit * (1 + 1e-9);
}

/* Are there as many MACs, weights and biases in @net as in the file that was measured? Where that
 * is not published, as many MACs or bytes of weights as are printed. */
static bool is_the_network(const struct csv *measured, size_t at, const struct network *net)
{
	const char *macs = csv_text(measured, at, "macs_from_file");
	const char *printed = csv_text(measured, at, "macs_src");
	const char *bytes = csv_text(measured, at, "weights_flash_bytes");
	bool st = strstr(csv_text(measured, at, "source_repo"), "stm32ai-modelzoo");
	double constants = 0, params = 0;

	for (size_t i = 0; i < net->n_ops; i++) {
		constants += (double)deployed_constants(net, i, 8);
		params += (double)(network_op_weights(net, i) + network_op_biases(net, i));
	}
	if (*macs)
		return strtod(macs, NULL) == (double)network_macs(net) &&
		       strtod(csv_text(measured, at, "params_from_file"), NULL) == params;
	if (*printed)
		return agrees(printed, (double)network_macs(net));
	return !st || !*bytes || fabs(strtod(bytes, NULL) / constants - 1) < 0.005;
}

struct sources {
	struct csv measured, rows;
	char networks[1024], targets[1024];
};

static size_t measured_row(const struct csv *measured, const char *id)
{
	size_t i = 0;

	while (i < measured->n_rows && strcmp(csv_text(measured, i, "row_id"), id) != 0)
		i++;
	return i;
}

/* Watts while the network ran; 0 where no energy was measured. */
static double power_of(const struct csv *csv, size_t i, double latency_ms)
{
	struct nasc_err err = { 0 };
	double energy_mj;

	if (!*csv_text(csv, i, "energy_mJ"))
		return 0;
	must(csv_positive(csv, i, "energy_mJ", &energy_mj, &err), &err);
	return energy_mj / latency_ms;
}

static void add_published(struct calibration *c, const struct sources *s, size_t i, size_t at)
{
	const char *network = csv_text(&s->rows, i, "network");
	const char *counts_as = csv_text(&s->rows, i, "counts_as");
	const char *group = csv_text(&s->rows, i, "group");
	const char *path = joined(&c->arena, s->networks, "/", network);
	struct fit_row *row = &c->row[c->n_rows];
	struct nasc_err err = { 0 };
	struct network net;
	double latency_ms, clock_mhz;

	must(network_load(path, &c->arena, &net, &err), &err);
	if (!is_the_network(&s->measured, at, &net)) {
		printf("row %s is left out: %s has other MACs or parameters\n",
		       csv_text(&s->rows, i, "row_id"), network);
		return;
	}
	must(csv_positive(&s->measured, at, "latency_ms", &latency_ms, &err), &err);
	if (*csv_text(&s->rows, i, "clock_mhz"))
		must(csv_positive(&s->rows, i, "clock_mhz", &clock_mhz, &err), &err);
	else
		must(csv_positive(&s->measured, at, "clock_mhz", &clock_mhz, &err), &err);
	row->group = number_of(&c->group, group);
	row->setting = number_of(&c->setting,
				 joined(&c->arena, group, " ", csv_text(&s->rows, i, "setting")));
	row->network = number_of(&c->network, *counts_as ? counts_as : network);
	row->cycles = latency_ms * 1e3 * clock_mhz;
	row->power = power_of(&s->measured, at, latency_ms);
	work_of(&net, row->work, &c->arena);
	c->n_rows++;
}

static void load_published(struct calibration *c, const struct sources *s)
{
	struct names reason = { .n = 0 };
	size_t count[NAMES_MAX] = { 0 };

	c->row = ARENA_NEW(&c->arena, struct fit_row, s->rows.n_rows);
	for (size_t i = 0; i < s->rows.n_rows; i++) {
		const char *why = csv_text(&s->rows, i, "left_out");
		size_t at = measured_row(&s->measured, csv_text(&s->rows, i, "row_id"));

		if (*why)
			count[number_of(&reason, why)]++;
		else if (at == s->measured.n_rows)
			count[number_of(&reason, "not in the table of measurements")]++;
		else
			add_published(c, s, i, at);
	}
	printf("%zu rows, %zu of them fitted; left out:\n", s->rows.n_rows, c->n_rows);
	for (size_t i = 0; i < reason.n; i++)
		printf("%6zu  %s\n", count[i], reason.name[i]);
}

/* ---- errors ---------------------------------------------------------------------------- */

/* The energy of a network that is left out: its latency times the power of other networks on that
 * board, both predicted. @shape: as fit_leave_one_out(). */
static void leave_one_out(struct calibration *c, const double *shape)
{
	c->error = ARENA_NEW(&c->arena, double, c->n_rows);
	c->energy_error = ARENA_NEW(&c->arena, double, c->n_rows);
	fit_leave_one_out(c->row, c->n_rows, c->setting.n, shape, c->error, &c->arena);
	for (size_t i = 0; i < c->n_rows; i++) {
		const struct fit_row *row = &c->row[i];
		double power = fit_power(c->row, c->n_rows, row->setting, row->network, &c->arena);

		c->energy_error[i] =
			row->power > 0 ? (1 + c->error[i]) * power / row->power - 1 : NAN;
	}
}

/* Of one group, over its networks: a network's error is the mean over its rows. */
struct report {
	size_t rows, networks;
	double mean, worst, rank;
	double energy; /* mean over rows; NAN where no energy was measured */
};

/* Mean over rows of a group, of one of its settings where @setting is not NULL. */
static double mean_energy_error(const struct calibration *c, size_t group, const size_t *setting)
{
	double sum = 0, rows = 0;

	for (size_t i = 0; i < c->n_rows; i++) {
		if (c->row[i].group != group || isnan(c->energy_error[i]) ||
		    (setting && c->row[i].setting != *setting))
			continue;
		sum += fabs(c->energy_error[i]);
		rows++;
	}
	return sum / rows;
}

static struct report report_of(struct calibration *c, size_t group)
{
	struct arena_mark mark = arena_mark(&c->arena);
	double *measured = ARENA_NEW(&c->arena, double, c->n_rows);
	double *predicted = ARENA_NEW(&c->arena, double, c->n_rows);
	struct report r = { 0 };

	for (size_t k = 0; k < c->network.n; k++) {
		double sum = 0;
		size_t rows = 0;

		for (size_t i = 0; i < c->n_rows; i++) {
			const struct fit_row *row = &c->row[i];

			if (row->group != group || row->network != k || isnan(c->error[i]))
				continue;
			measured[r.rows] = row->cycles;
			predicted[r.rows++] = row->cycles * (1 + c->error[i]);
			sum += fabs(c->error[i]);
			r.worst = fmax(r.worst, fabs(c->error[i]));
			rows++;
		}
		if (rows > 0) {
			r.mean += sum / (double)rows;
			r.networks++;
		}
	}
	r.mean /= (double)r.networks;
	r.energy = mean_energy_error(c, group, NULL);
	r.rank = rank_correlation(measured, predicted, r.rows, &c->arena);
	arena_rewind(&c->arena, mark);
	return r;
}

static void print_errors(struct calibration *c)
{
	printf("\nleave one network out              rows networks    mean   worst    rank  "
	       "energy\n");
	for (size_t g = 0; g < c->group.n; g++) {
		struct report r = report_of(c, g);

		if (r.networks < 2) {
			printf("%-34s one network: no error\n", c->group.name[g]);
			continue;
		}
		printf("%-34s %4zu %8zu %5.1f %% %5.1f %% %7.3f", c->group.name[g], r.rows,
		       r.networks, 100 * r.mean, 100 * r.worst, r.rank);
		if (isnan(r.energy))
			printf("       -\n");
		else
			printf(" %5.1f %%\n", 100 * r.energy);
	}
}

static void print_networks(const struct calibration *c, size_t group)
{
	printf("\n%s, error of every network when it is left out:\n", c->group.name[group]);
	for (size_t i = 0; i < c->n_rows; i++)
		if (c->row[i].group == group && !isnan(c->error[i]))
			printf("%+7.1f %%  %-32s %s\n", 100 * c->error[i],
			       c->network.name[c->row[i].network],
			       c->setting.name[c->row[i].setting]);
}

static void print_rates(const char *name, const double rate[MCU_N_RATES])
{
	printf("%-34s", name);
	for (size_t r = 0; r < MCU_N_RATES; r++)
		printf(" %11.2f", rate[r]);
	putchar('\n');
}

static void print_rate_names(const char *title)
{
	static const char *const name[MCU_N_RATES] = {
#define X(id, name, help) [MCU_##id] = #name,
		MCU_RATES(X)
#undef X
	};

	printf("\n%-34s", title);
	for (size_t r = 0; r < MCU_N_RATES; r++)
		printf(" %11s", name[r]);
	putchar('\n');
}

/* ---- the repository's targets ------------------------------------------------------------ */

static void say_source(const struct report *r, const char *about, struct target_fit *fit)
{
	snprintf(fit->latency_source, sizeof fit->latency_source,
		 "mean error when one of %zu networks was left out (worst %.0f %%); %s",
		 r->networks, 100 * r->worst, about);
}

/* The targets' table names group and setting, and says something of the energy where it was
 * measured on the target's own board. */
static void write_published(struct calibration *c, const struct sources *s, const struct csv *list,
			    const double shape[MCU_N_RATES])
{
	double *factor = ARENA_NEW(&c->arena, double, c->setting.n);
	struct nasc_err err = { 0 };

	for (size_t i = 0; i < list->n_rows; i++) {
		const char *group = csv_text(list, i, "group");
		const char *setting = csv_text(list, i, "setting");
		const char *energy = csv_text(list, i, "energy");
		const char *name = joined(&c->arena, csv_text(list, i, "target"), "", ".yaml");
		size_t g = number_of(&c->group, group);
		size_t b = number_of(&c->setting, joined(&c->arena, group, " ", setting));
		struct report r = report_of(c, g);
		struct target_fit fit = { .latency_error = r.mean };

		fit_group(c->row, c->n_rows, g, c->setting.n, shape, fit.rate, factor, &c->arena);
		for (size_t k = 0; k < MCU_N_RATES; k++)
			fit.rate[k] *= factor[b];
		say_source(&r, csv_text(list, i, "about"), &fit);
		if (*energy) {
			fit.power = fit_power(c->row, c->n_rows, b, SIZE_MAX, &c->arena);
			fit.energy_error = mean_energy_error(c, g, &b);
			snprintf(fit.energy_source, sizeof fit.energy_source,
				 "mean error when a network was left out; %s", energy);
		}
		must(target_write(joined(&c->arena, s->targets, "/", name), &fit, &c->arena, &err),
		     &err);
		say_written(name, true);
	}
}

static int published(const char *path, bool write)
{
	const char *source = getenv("NASC_SOURCE"), *root = source ? source : ".";
	struct calibration c = { .n_rows = 0 };
	struct nasc_err err = { 0 };
	struct sources s;
	struct csv targets;
	double shape[MCU_N_RATES], rate[MCU_N_RATES], *factor;

	snprintf(s.networks, sizeof s.networks, "%s/configs/networks/published", root);
	snprintf(s.targets, sizeof s.targets, "%s/configs/targets", root);
	must(csv_load(path, &c.arena, &s.measured, &err), &err);
	must(csv_load(joined(&c.arena, root, "/", "bench/calibrate_rows.csv"), &c.arena, &s.rows,
		      &err),
	     &err);
	must(csv_load(joined(&c.arena, root, "/", "bench/calibrate_targets.csv"), &c.arena,
		      &targets, &err),
	     &err);
	load_published(&c, &s);
	leave_one_out(&c, NULL);
	print_errors(&c);
	fit_shape(c.row, c.n_rows, c.setting.n, shape, &c.arena);
	print_rate_names("cycles");
	print_rates("all groups, relative", shape);
	factor = ARENA_NEW(&c.arena, double, c.setting.n);
	for (size_t g = 0; g < c.group.n; g++) {
		fit_group(c.row, c.n_rows, g, c.setting.n, shape, rate, factor, &c.arena);
		print_rates(c.group.name[g], rate);
		for (size_t k = 0; k < c.setting.n; k++)
			if (factor[k] != 1)
				printf("    times %.3f: %s\n", factor[k], c.setting.name[k]);
	}
	for (size_t g = 0; g < c.group.n; g++)
		if (report_of(&c, g).networks > 1)
			print_networks(&c, g);
	if (write)
		write_published(&c, &s, &targets, shape);
	else
		say_written("configs/targets", false);
	arena_free(&c.arena);
	return 0;
}

/* ---- a board of one's own ------------------------------------------------------------------ */

static void load_own(struct calibration *c, const char *path, double clock)
{
	struct nasc_err err = { 0 };
	struct csv csv;

	must(csv_load(path, &c->arena, &csv, &err), &err);
	if (!csv_has(&csv, "network") || !csv_has(&csv, "latency_ms") || csv.n_rows == 0)
		must(nasc_fail(&err, NASC_DATA,
			       "%s:1: columns 'network' (a file) and 'latency_ms' are right, and "
			       "a row for every network measured",
			       path),
		     &err);
	c->row = ARENA_NEW(&c->arena, struct fit_row, csv.n_rows);
	number_of(&c->group, path);
	number_of(&c->setting, path);
	for (; c->n_rows < csv.n_rows; c->n_rows++) {
		const char *file = csv_text(&csv, c->n_rows, "network");
		struct fit_row *row = &c->row[c->n_rows];
		struct network net;
		double latency_ms;

		must(csv_positive(&csv, c->n_rows, "latency_ms", &latency_ms, &err), &err);
		must(network_load(file, &c->arena, &net, &err), &err);
		row->network = number_of(&c->network, file);
		row->cycles = latency_ms / 1e3 * clock;
		row->power = power_of(&csv, c->n_rows, latency_ms);
		work_of(&net, row->work, &c->arena);
	}
}

/* The target's own rates are the shape; its board is one setting. */
static int own(const char *path, const char *target, bool write)
{
	struct calibration c = { .n_rows = 0 };
	struct nasc_err err = { 0 };
	struct costmodel model;
	struct report r;
	struct target_fit fit = { .power = 0 };
	double shape[MCU_N_RATES], clock, factor;

	/* A file, not the name of a target that nasc has. */
	must(target_open(&model, ".",
			 strchr(target, '/') ? target : joined(&c.arena, ".", "/", target),
			 &c.arena, &err),
	     &err);
	if (strcmp(model.ops->name, "mcu") != 0)
		must(nasc_fail(&err, NASC_CONFIG, "%s: model: mcu is right", target), &err);
	target_rates(&model, shape, &clock);
	if (shape[MCU_POINTWISE] <= 0)
		must(nasc_fail(&err, NASC_CONFIG,
			       "%s: no rates to start from, take those of a target with the same "
			       "runtime",
			       target),
		     &err);
	load_own(&c, path, clock);
	leave_one_out(&c, shape);
	print_errors(&c);
	r = report_of(&c, 0);
	if (r.networks > 1)
		print_networks(&c, 0);
	fit_group(c.row, c.n_rows, 0, 1, shape, fit.rate, &factor, &c.arena);
	for (size_t k = 0; k < MCU_N_RATES; k++)
		fit.rate[k] *= factor;
	print_rate_names("cycles");
	print_rates("before", shape);
	print_rates("fitted", fit.rate);
	fit.latency_error = r.mean;
	say_source(&r, "own board", &fit);
	if (!isnan(r.energy)) {
		fit.power = fit_power(c.row, c.n_rows, 0, SIZE_MAX, &c.arena);
		fit.energy_error = r.energy;
		snprintf(fit.energy_source, sizeof fit.energy_source, "own board");
		printf("power %.3g mW\n", 1e3 * fit.power);
	}
	if (write && r.networks < 2)
		must(nasc_fail(&err, NASC_DATA,
			       "%s: 2 networks or more are right, the error is that of one the "
			       "others did not see",
			       path),
		     &err);
	if (write)
		must(target_write(target, &fit, &c.arena, &err), &err);
	say_written(target, write);
	arena_free(&c.arena);
	return 0;
}

int main(int argc, char **argv)
{
	bool write = argc == 4 && strcmp(argv[3], "--write") == 0;

	if (argc != 3 && !write) {
		fprintf(stderr, "usage: calibrate OWN.csv TARGET.yaml [--write]\n"
				"       calibrate --published MEASURED.csv [--write]\n");
		return nasc_exit_code(NASC_USAGE);
	}
	if (strcmp(argv[1], "--published") == 0)
		return published(argv[2], write);
	return own(argv[1], argv[2], write);
}
