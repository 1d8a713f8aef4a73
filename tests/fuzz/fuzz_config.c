/* The input is a config; lines of its end that begin with "--set " are put over it. What is
 * accepted must write out as a resolved config that loads to the same, word for word, and open as
 * a study or say what is wrong. */
#define _GNU_SOURCE
#include "fuzz.h"

#include <cjson/cJSON.h>
#include <math.h>

#include "private.h"

#define SET	 "\n--set "
#define SETS_MAX 8

static struct arena arena;

static const char *written(const struct study_config *c)
{
	struct json_writer w;
	char *text = NULL, *copy;
	size_t n = 0;
	FILE *mem = open_memstream(&text, &n);

	MUST(mem);
	json_init(&w, mem, true);
	config_write(c, &w, NULL, CONFIG_WHOLE);
	fclose(mem);
	copy = arena_strdup(&arena, text);
	free(text);
	return copy;
}

static void check_round_trip(const struct study_config *c)
{
	const char *text = written(c);
	struct cJSON *json = NULL;
	struct study_config again;
	struct nasc_err err = { 0 };

	if (json_parse("written", text, strlen(text), &json, &err) ||
	    config_from_json("written", json, NULL, 0, &arena, &again, &err)) {
		fprintf(stderr, "%s\n%s\n", err.msg, text);
		abort();
	}
	cJSON_Delete(json);
	MUST(strcmp(text, written(&again)) == 0);
	MUST(strcmp(config_identity(c, CONFIG_ORDER, &arena),
		    config_identity(&again, CONFIG_ORDER, &arena)) == 0);
}

/* Its images are always the same few, so that nothing outside is read. */
static void check_study(struct study_config *c)
{
	struct nasc_err err = { 0 };
	enum nasc_status status;
	struct study s;

	c->data.directory = SOURCE "/tests/fuzz/images";
	for (size_t i = 0; i < c->targets.n; i++)
		if (strchr(c->targets.v[i], '/'))
			return;
	status = study_open(&s, c, SOURCE "/configs/targets", false, &arena, &err);
	if (!status)
		status = study_check(c, &err);
	if (status) {
		must_say_why(&err, status);
		MUST(status == NASC_CONFIG || status == NASC_DATA);
		return;
	}
	MUST(s.n_objectives >= 1 && s.n_objectives <= SEARCH_MAX_OBJECTIVES);
	MUST(s.n_bounds <= STUDY_MAX_BOUNDS && s.n_goals <= STUDY_MAX_BOUNDS);
	for (size_t i = 0; i < s.n_bounds; i++)
		MUST(s.bound[i].metric < s.n_metrics && isfinite(s.bound[i].value));
	study_close(&s);
}

/* Cut the lines "--set key=value" off the end of @text. */
static size_t take_sets(char *text, const char *set[SETS_MAX])
{
	char *at = strstr(text, SET), *next;
	size_t n = 0;

	for (; at && n < SETS_MAX; at = next) {
		set[n++] = at + strlen(SET);
		next = strstr(at + 1, SET);
		*at = '\0';
	}
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct memory_file file;
	struct nasc_err err = { 0 };
	struct arena_mark start = arena_mark(&arena);
	const char *set[SETS_MAX];
	char *text = text_of(&arena, data, size);
	size_t n_set = take_sets(text, set);
	const char *path = memory_file_fill(&file, data, n_set ? strlen(text) : size);
	struct study_config c;
	enum nasc_status status = config_load(path, set, n_set, &arena, &c, &err);

	if (status) {
		must_say_why(&err, status);
		MUST(status == NASC_CONFIG || status == NASC_USAGE);
	} else {
		check_round_trip(&c);
		check_study(&c);
	}
	arena_rewind(&arena, start);
	return 0;
}
