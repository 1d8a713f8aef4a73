#include "calibrate_target.h"

#include <string.h>

#include "file.h"
#include "schema.h"

#define TARGET_MAX_BYTES ((size_t)1 << 20)

static const char *const rate_key[MCU_N_RATES] = {
#define X(id, name, help) [MCU_##id] = "cycles_" #name,
	MCU_RATES(X)
#undef X
};

static double real_of(const struct costmodel *target, const char *key)
{
	const struct cfg_field *f = target->ops->fields;
	double v;

	while (strcmp(f->key, key) != 0)
		f++;
	memcpy(&v, (const char *)target->cfg + f->offset, sizeof v);
	return v;
}

void target_rates(const struct costmodel *target, double rate[MCU_N_RATES], double *clock)
{
	for (size_t r = 0; r < MCU_N_RATES; r++)
		rate[r] = real_of(target, rate_key[r]);
	*clock = real_of(target, "clock");
}

static bool is_of_fit(const char *line, bool energy)
{
	return strncmp(line, "cycles_", 7) == 0 || strncmp(line, "latency_", 8) == 0 ||
	       (energy && (strncmp(line, "power:", 6) == 0 || strncmp(line, "energy_", 7) == 0));
}

static void write_lines(FILE *fp, const struct target_fit *fit)
{
	for (size_t r = 0; r < MCU_N_RATES; r++)
		fprintf(fp, "%s: %.*f\n", rate_key[r],
			fit->rate[r] < 10    ? 2
			: fit->rate[r] < 100 ? 1
					     : 0,
			fit->rate[r]);
	fprintf(fp, "latency_error: %.1f %%\nlatency_source: \"%s\"\n", 100 * fit->latency_error,
		fit->latency_source);
	if (fit->power > 0)
		fprintf(fp, "power: %.3g mW\nenergy_error: %.1f %%\nenergy_source: \"%s\"\n",
			1e3 * fit->power, 100 * fit->energy_error, fit->energy_source);
}

enum nasc_status target_write(const char *path, const struct target_fit *fit, struct arena *scratch,
			      struct nasc_err *err)
{
	struct arena_mark mark = arena_mark(scratch);
	struct file_out out;
	char *text;
	size_t n;
	bool written = false;
	enum nasc_status status = file_read(path, TARGET_MAX_BYTES, scratch, &text, &n, err);

	if (!status && strncmp(text, "cycles_", 7) != 0 && !strstr(text, "\ncycles_"))
		status = nasc_fail(err, NASC_DATA, "%s: no line begins with 'cycles_'", path);
	if (!status)
		status = file_begin(&out, path, err);
	if (!status) {
		for (char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
			if (!is_of_fit(line, fit->power > 0)) {
				fprintf(out.fp, "%.*s\n", (int)strcspn(line, "\n"), line);
			} else if (!written) {
				write_lines(out.fp, fit);
				written = true;
			}
		}
		status = file_commit(&out, err);
	}
	arena_rewind(scratch, mark);
	return status;
}
