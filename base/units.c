#include "units.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* SI value = number * mul / div; one of both is 1, so that 35 ms is the double
 * nearest to 0.035. Ascending. */
struct unit {
	const char *name;
	double mul, div;
	bool shown; /* unit_format() uses it */
};
#define UNITS_MAX 8

static const struct {
	const char *symbol, *what, *right; /* for messages */
	struct unit unit[UNITS_MAX];
} dims[] = {
	[UNIT_NONE] = { "1",
			"a number",
			"k, M, G or nothing behind it",
			{ { "k", 1e3, 1, true }, { "M", 1e6, 1, true }, { "G", 1e9, 1, true } } },
	[UNIT_FRACTION] = { "1",
			    "a fraction",
			    "% or nothing behind it",
			    { { "%", 1, 100, true } } },
	[UNIT_BYTE] = { "byte",
			"a size",
			"B, kB, MB, GB (1000) or KiB, MiB, GiB (1024)",
			{ { "B", 1, 1, true },
			  { "kB", 1e3, 1, false },
			  { "KiB", 0x1p10, 1, true },
			  { "MB", 1e6, 1, false },
			  { "MiB", 0x1p20, 1, true },
			  { "GB", 1e9, 1, false },
			  { "GiB", 0x1p30, 1, true } } },
	[UNIT_SECOND] = { "s",
			  "a time",
			  "ns, us, ms, s, min or h",
			  { { "ns", 1, 1e9, true },
			    { "us", 1, 1e6, true },
			    { "ms", 1, 1e3, true },
			    { "s", 1, 1, true },
			    { "min", 60, 1, true },
			    { "h", 3600, 1, true } } },
	[UNIT_JOULE] = { "J",
			 "an energy",
			 "nJ, uJ, mJ or J",
			 { { "nJ", 1, 1e9, true },
			   { "uJ", 1, 1e6, true },
			   { "mJ", 1, 1e3, true },
			   { "J", 1, 1, true } } },
	[UNIT_HERTZ] = { "Hz",
			 "a frequency",
			 "Hz, kHz, MHz or GHz",
			 { { "Hz", 1, 1, true },
			   { "kHz", 1e3, 1, true },
			   { "MHz", 1e6, 1, true },
			   { "GHz", 1e9, 1, true } } },
	[UNIT_WATT] = { "W",
			"a power",
			"uW, mW or W",
			{ { "uW", 1, 1e6, true }, { "mW", 1, 1e3, true }, { "W", 1, 1, true } } },
};
_Static_assert(sizeof dims / sizeof *dims == UNIT_DIM_COUNT, "a row for every dimension");

static size_t span_digits(const char *s)
{
	return strspn(s, "0123456789");
}

/* Length of the decimal number at @s, 0 when there is none. strtod() alone would
 * take hexadecimal, inf and nan as well. */
static size_t span_number(const char *s)
{
	size_t n = *s == '+' || *s == '-' ? 1 : 0;
	size_t whole = span_digits(s + n), part = 0, sign;

	n += whole;
	if (s[n] == '.') {
		part = span_digits(s + n + 1);
		n += 1 + part;
	}
	if (whole + part == 0)
		return 0;
	if (s[n] == 'e' || s[n] == 'E') {
		sign = s[n + 1] == '+' || s[n + 1] == '-' ? 1 : 0;
		if (span_digits(s + n + 1 + sign) > 0)
			n += 1 + sign + span_digits(s + n + 1 + sign);
	}
	return n;
}

static bool same_unit(const char *text, size_t n, const char *name)
{
	return strlen(name) == n && memcmp(text, name, n) == 0;
}

enum nasc_status unit_parse(const char *text, enum unit_dim dim, double *out, struct nasc_err *err)
{
	const char *s = text + strspn(text, " \t"), *u;
	size_t number = span_number(s), n;
	double v;

	u = s + number + strspn(s + number, " \t");
	n = strlen(u);
	while (n > 0 && (u[n - 1] == ' ' || u[n - 1] == '\t'))
		n--;
	if (number == 0)
		return nasc_fail(err, NASC_CONFIG, "'%s' is not %s; use a number with %s", text,
				 dims[dim].what, dims[dim].right);
	v = strtod(s, NULL);
	if (n > 0) {
		const struct unit *unit = dims[dim].unit;

		while (unit->name && !same_unit(u, n, unit->name))
			unit++;
		if (!unit->name)
			return nasc_fail(err, NASC_CONFIG, "'%s' is not %s; use %s", text,
					 dims[dim].what, dims[dim].right);
		v = v * unit->mul / unit->div;
	}
	if (!isfinite(v))
		return nasc_fail(err, NASC_CONFIG, "'%s' is too large", text);
	*out = v;
	return NASC_OK;
}

const char *unit_symbol(enum unit_dim dim)
{
	return dims[dim].symbol;
}

/* Two decimals below 10, one above, none where the number is whole, an exponent
 * where neither shows it. */
static void format_scaled(double v, char *buf, size_t n)
{
	double magnitude = fabs(v);

	if (magnitude >= 99999.5 || magnitude < 0.005)
		snprintf(buf, n, "%.3g", v);
	else
		snprintf(buf, n, "%.*f",
			 magnitude == floor(magnitude) ? 0
			 : magnitude < 9.995	       ? 2
						       : 1,
			 v);
}

char *unit_format(double value, enum unit_dim dim, char *buf, size_t n)
{
	const struct unit *best = dims[dim].unit;
	double magnitude = fabs(value);
	char number[32];

	if (!isfinite(value)) {
		snprintf(buf, n, "%s", isnan(value) ? "-" : value < 0 ? "-inf" : "inf");
		return buf;
	}
	if (dim == UNIT_FRACTION) {
		snprintf(buf, n, "%.*f %%", magnitude < 9.99995 ? 2 : 0, value * 100);
		return buf;
	}
	if (dim == UNIT_NONE && magnitude < 1e4) {
		snprintf(buf, n, "%.5g", value); /* four-digit counts stay whole */
		return buf;
	}
	for (const struct unit *u = dims[dim].unit; u->name; u++) {
		/* 0.99996 s is "1.00 s", not "1000.0 ms" */
		if (u->shown && magnitude >= 0.99995 * u->mul / u->div)
			best = u;
	}
	if (value == 0) {
		snprintf(buf, n, "0 %s", dim == UNIT_BYTE ? "B" : dims[dim].symbol);
		return buf;
	}
	format_scaled(value / best->mul * best->div, number, sizeof number);
	snprintf(buf, n, "%s %s", number, best->name);
	return buf;
}
