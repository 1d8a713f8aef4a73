/* The input is a condition of --where, a name of --sort and an id of `nasc train --id`, on a fixed
 * front. What is accepted must divide the front: what a condition drops, its negation keeps. */
#define _GNU_SOURCE
#include "fuzz.h"

#include "study.h"

#define ROWS 4

static const char front[] =
	"{\"version\":1,\"config\":{},\"objectives\":[{\"name\":\"error\",\"direction\":\"min\"},"
	"{\"name\":\"a.sram_bytes\",\"direction\":\"min\"}],\"front\":["
#define SCORE(key, value, unit)                                                                    \
	"\"" key "\":{\"value\":" value ",\"unit\":\"" unit "\",\"model\":\"m\","                  \
	"\"provenance\":\"p\"}"
#define ROW(id, error, sram, latency, energy, nid)                                                 \
	"{\"id\":" id                                                                              \
	",\"genes\":{},\"network\":null,\"scores\":{" SCORE("error", error, "1") "," SCORE(        \
		"a.sram_bytes", sram, "byte") "," SCORE("a.latency_s", latency,                    \
							"s") "," SCORE("energy_j", energy,         \
								       "J") "," SCORE("nid", nid,  \
										      "1") "}}"
	ROW("0", "0.5", "1024", "0.001", "1e-6",
	    "10") "," ROW("7", "0.25", "2048", "0.002", "0",
			  "9") "," ROW("12", "0.125", "1e6", "60", "1e300",
				       "-1") "," ROW("13", "0", "1e7", "3600", "5e-324", "0") "]}";

/* Bit i: row i is kept. */
static unsigned kept_by(const struct results *all, const char *text, enum nasc_status *status,
			struct nasc_err *err)
{
	struct result row[ROWS];
	struct results r = *all;
	unsigned kept = 0;

	memcpy(row, all->row, sizeof row);
	r.row = row;
	*err = (struct nasc_err){ .code = NASC_OK };
	*status = results_where(&r, text, err);
	if (*status)
		must_say_why(err, *status);
	MUST(r.n <= ROWS);
	for (size_t i = 0; i < r.n; i++)
		for (size_t k = 0; k < ROWS; k++)
			if (r.row[i].id == all->row[k].id)
				kept |= 1u << k;
	return kept;
}

static void check_condition(const struct results *all, const char *text, struct arena *a)
{
	size_t n = strlen(text) + 8;
	char *other = ARENA_NEW(a, char, n);
	enum nasc_status status, of_other;
	struct nasc_err err;
	unsigned kept = kept_by(all, text, &status, &err), dropped;
	struct results none = *all;

	MUST(status == NASC_OK || status == NASC_USAGE);
	snprintf(other, n, "!(%s)", text);
	dropped = kept_by(all, other, &of_other, &err);
	if (status == NASC_OK && of_other == NASC_OK)
		MUST((kept | dropped) == (1u << ROWS) - 1 && (kept & dropped) == 0);
	if (status == NASC_OK && of_other)
		MUST(strstr(err.msg, "nested brackets"));
	none.n = 0;
	of_other = results_where(&none, text, &err);
	MUST(of_other == NASC_OK || status == NASC_USAGE);
}

static void check_order(const struct results *all, const char *text)
{
	struct result row[ROWS];
	struct results r = *all;
	struct nasc_err err = { 0 };
	enum nasc_status status;

	memcpy(row, all->row, sizeof row);
	r.row = row;
	status = results_sort(&r, text, &err);
	if (status)
		must_say_why(&err, status);
	MUST(status == NASC_OK || status == NASC_USAGE);
	for (size_t i = 1; !status && i < r.n; i++) {
		const char *name = text + (*text == '-');
		double before = result_score(&r.row[i - 1], name)->value;
		double now = result_score(&r.row[i], name)->value;
		bool descends = (strncmp(result_score(&r.row[0], name)->key, "nid", 3) == 0) !=
				(*text == '-');

		MUST(descends ? before >= now : before <= now);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct arena forever, arena;
	static struct results all;
	static bool open;
	struct arena_mark start = arena_mark(&arena);
	struct nasc_err err = { 0 };
	const struct result *found;
	char *text;

	if (!open) {
		struct memory_file f = { 0 };
		const char *path = memory_file_fill(&f, front, sizeof front - 1);

		MUST(results_load(&path, 1, &forever, &all, &err) == NASC_OK && all.n == ROWS);
		open = true;
	}
	text = text_of(&arena, data, size);
	check_condition(&all, text, &arena);
	check_order(&all, text);
	found = results_find(&all, text);
	MUST(!found || (found >= all.row && found < all.row + ROWS));
	arena_rewind(&arena, start);
	return 0;
}
