#include "clock.h"
#include "cmd.h"

#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* ---- tables ---------------------------------------------------------------- */

struct table {
	size_t columns, n, cap;
	char **text;
	bool *right;
};

struct table *table_new(size_t columns)
{
	struct table *t = calloc(1, sizeof *t);

	if (!t || columns == 0 || columns > TABLE_MAX_COLUMNS)
		abort();
	t->columns = columns;
	return t;
}

void table_cell(struct table *t, bool right, const char *text)
{
	if (t->n == t->cap) {
		t->cap = t->cap ? 2 * t->cap : 64;
		t->text = realloc(t->text, t->cap * sizeof *t->text);
		t->right = realloc(t->right, t->cap * sizeof *t->right);
	}
	if (!t->text || !t->right || !(t->text[t->n] = strdup(text)))
		abort();
	t->right[t->n++] = right;
}

void table_print(const struct table *t, FILE *fp)
{
	size_t width[TABLE_MAX_COLUMNS] = { 0 };

	for (size_t i = 0; i < t->n; i++) {
		size_t w = strlen(t->text[i]);

		if (w > width[i % t->columns])
			width[i % t->columns] = w;
	}
	for (size_t i = 0; i < t->n; i++) {
		size_t c = i % t->columns;
		bool last = c + 1 == t->columns;

		fprintf(fp,
			t->right[i] ? "%*s"
			: last	    ? "%-.*s"
				    : "%-*s",
			t->right[i] || !last ? (int)width[c] : INT_MAX, t->text[i]);
		fputs(last ? "\n" : "  ", fp);
	}
}

void table_free(struct table *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->n; i++)
		free(t->text[i]);
	free(t->text);
	free(t->right);
	free(t);
}

/* ---- progress ---------------------------------------------------------------- */

#define LINES_APART_S 60 /* where they stay */

bool progress_rewrites(void)
{
	return isatty(STDERR_FILENO);
}

void progress_line(const char *text)
{
	static double next_s;
	struct winsize size = { 0 };
	double now = clock_s();

	if (!progress_rewrites()) {
		if (next_s > 0 && now >= next_s)
			fprintf(stderr, "%s\n", text);
		if (now >= next_s)
			next_s = now + LINES_APART_S;
		return;
	}
	/* A line that wraps cannot be written over. */
	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) || size.ws_col < 2)
		size.ws_col = 80;
	fprintf(stderr, "\r%.*s\033[K", size.ws_col - 1, text);
}

void progress_end(void)
{
	if (progress_rewrites())
		fputs("\r\033[K", stderr);
}

/* ---- signals ------------------------------------------------------------------ */

static atomic_bool cancelled;

static void on_signal(int sig)
{
	if (atomic_exchange(&cancelled, true))
		_exit(128 + sig);
}

const atomic_bool *cancel_on_signal(void)
{
	struct sigaction sa = { .sa_handler = on_signal };

	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	return &cancelled;
}

/* ---- files of the installation -------------------------------------------------- */

const char *targets_dir(void)
{
	static char dir[PATH_MAX + 64];
	const char *env = getenv("NASC_TARGETS");
	char exe[PATH_MAX];
	ssize_t n;

	if (env && *env)
		return env;
	/* A build folder stands in the source tree: its own targets before installed ones. */
	n = readlink("/proc/self/exe", exe, sizeof exe - 1);
	if (n > 0) {
		char *slash;

		exe[n] = '\0';
		slash = strrchr(exe, '/');
		snprintf(dir, sizeof dir, "%.*s/../configs/targets", (int)(slash - exe), exe);
		if (access(dir, R_OK | X_OK) == 0)
			return dir;
	}
	return NASC_DATA_DIR "/targets";
}
