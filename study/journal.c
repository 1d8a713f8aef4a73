#include "private.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"

#define JOURNAL_VERSION "3"

#define META "CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL)"
#define EVALUATION                                                                                 \
	"CREATE TABLE evaluation(genes TEXT PRIMARY KEY, place INTEGER NOT NULL, outcome INTEGER " \
	"NOT NULL, scores BLOB NOT NULL, why TEXT NOT NULL) WITHOUT ROWID"
#define BY_PLACE "by_place ON evaluation(place, genes)"
#define INDEX	 "CREATE INDEX " BY_PLACE
/* Nothing else may be in it: no view or trigger that makes something of the rows. */
static const char *const schema[] = { META, EVALUATION, INDEX };

/* More candidates than all runs of a journal can come to; two such places can be added. */
#define PLACE_END  ((int64_t)1 << 62)
#define TAKE_TRIES 10

struct journal {
	char *path;
	sqlite3 *db;
	sqlite3_stmt *put, *get, *oldest, *drop;
	/* Holds the lock. POSIX forgets a process's locks on a file when it closes any
	 * descriptor of it, so this one is closed last. */
	int fd;
	bool locked, created;
	bool empty; /* when it was opened: one that was killed left no more, or it is new */
	const struct metric *metric;
	size_t n_values;
	int64_t limit, rows; /* 0: no limit; rows: counted only with a limit */
	int64_t base;	     /* place of this run's first candidate: behind all earlier runs */
};

/* ---- the lock --------------------------------------------------------------------- */

static enum nasc_status in_use(const struct journal *j, struct nasc_err *err)
{
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	char who[64] = "another process";

	/* Of another container's or machine's process the number says nothing here. */
	if (fcntl(j->fd, F_GETLK, &l) == 0 && l.l_type != F_UNLCK && l.l_pid > 0)
		snprintf(who, sizeof who, "the process with id %ld", (long)l.l_pid);
	return nasc_fail(err, NASC_FAIL,
			 "%s: in use by %s; wait for it or end it, or give another --out", j->path,
			 who);
}

/* Names of SQLite's own, which belong to the file. */
static const char *const beside[] = { "-journal", "-wal" };
#define NAME_MAX_BYTES (4096 + 16)

static const char *name_beside(char name[NAME_MAX_BYTES], const char *path, size_t i)
{
	snprintf(name, NAME_MAX_BYTES, "%s%s", path, beside[i]);
	return name;
}

static enum nasc_status open_file(struct journal *j, struct nasc_err *err)
{
	struct stat st;

	j->fd = open(j->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	j->created = j->fd >= 0;
	if (!j->created && errno == EEXIST) /* a FIFO must not block */
		j->fd = open(j->path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (j->fd < 0 && errno == EISDIR)
		return nasc_fail(err, NASC_DATA, "%s: is a directory, not a file", j->path);
	if (j->fd < 0)
		return file_fail(err, j->path, "cannot open", errno);
	if (fstat(j->fd, &st) != 0)
		return file_fail(err, j->path, "cannot read", errno);
	if (!S_ISREG(st.st_mode))
		return nasc_fail(err, NASC_DATA, "%s: is not a regular file", j->path);
	j->empty = st.st_size == 0;
	return NASC_OK;
}

/* Of two runs the second fails at once instead of mixing in. The first byte is not among those
 * that SQLite locks, and unlike its locks this one is taken in a single step. */
static enum nasc_status lock_file(struct journal *j, struct nasc_err *err)
{
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1 };

	if (open_file(j, err))
		return err->code;
	if (fcntl(j->fd, F_SETLK, &l)) {
		if (errno == EACCES || errno == EAGAIN)
			return in_use(j, err);
		return file_fail(err, j->path, "cannot lock", errno);
	}
	j->locked = true;
	return NASC_OK;
}

/* SQLite would wait for ever for someone to write into a FIFO. */
static enum nasc_status check_beside(struct journal *j, struct nasc_err *err)
{
	char name[NAME_MAX_BYTES];
	struct stat st;

	for (size_t i = 0; i < sizeof beside / sizeof *beside; i++)
		if (stat(name_beside(name, j->path, i), &st) == 0 && !S_ISREG(st.st_mode))
			return nasc_fail(err, NASC_DATA, "%s: is not a regular file", name);
	return NASC_OK;
}

static enum nasc_status take_file(struct journal *j, bool resume, struct nasc_err *err)
{
	for (int tries = 0;; tries++) {
		if (lock_file(j, err))
			return err->code;
		if (file_named(j->fd, j->path))
			break;
		/* One that could not begin has removed it before it was locked here. */
		if (tries == TAKE_TRIES)
			return nasc_fail(err, NASC_FAIL, "%s: removed or replaced again and again",
					 j->path);
		close(j->fd);
		j->locked = false;
	}
	if (!j->empty && !resume)
		return nasc_fail(
			err, NASC_USAGE,
			"%s: journal of an earlier run; go on with --resume, or give another "
			"--out",
			j->path);
	return check_beside(j, err);
}

/* ---- tables ------------------------------------------------------------------------- */

static enum nasc_status journal_fail(struct journal *j, struct nasc_err *err)
{
	/* Of some writes SQLite keeps the reason to itself, but leaves it in errno, which the
	 * callers have cleared. */
	int rc = sqlite3_errcode(j->db), left = errno, why = sqlite3_system_errno(j->db);

	why = why ? why : left;
	if (rc == SQLITE_BUSY || rc == SQLITE_LOCKED)
		return in_use(j, err);
	if (rc == SQLITE_FULL || (rc == SQLITE_IOERR && why))
		return file_fail(err, j->path, "cannot write", rc == SQLITE_FULL ? ENOSPC : why);
	return nasc_fail(err, rc == SQLITE_NOTADB || rc == SQLITE_CORRUPT ? NASC_DATA : NASC_FAIL,
			 "%s: %s", j->path, sqlite3_errmsg(j->db));
}

static enum nasc_status set_meta(struct journal *j, const char *key, const char *value,
				 struct nasc_err *err)
{
	sqlite3_stmt *st;
	bool ok = sqlite3_prepare_v2(j->db, "REPLACE INTO meta VALUES(?, ?)", -1, &st, NULL) ==
			  SQLITE_OK &&
		  sqlite3_bind_text(st, 1, key, -1, SQLITE_STATIC) == SQLITE_OK &&
		  sqlite3_bind_text(st, 2, value, -1, SQLITE_STATIC) == SQLITE_OK &&
		  sqlite3_step(st) == SQLITE_DONE;

	sqlite3_finalize(st);
	return ok ? NASC_OK : journal_fail(j, err);
}

/* NASC_OK with *same telling whether the stored value equals @value. */
static enum nasc_status same_meta(struct journal *j, const char *key, const char *value, bool *same,
				  struct nasc_err *err)
{
	sqlite3_stmt *st;
	bool ok = sqlite3_prepare_v2(j->db, "SELECT value FROM meta WHERE key = ?", -1, &st,
				     NULL) == SQLITE_OK &&
		  sqlite3_bind_text(st, 1, key, -1, SQLITE_STATIC) == SQLITE_OK &&
		  sqlite3_step(st) == SQLITE_ROW;
	const char *text = ok ? (const char *)sqlite3_column_text(st, 0) : NULL;

	*same = text && !strcmp(text, value);
	sqlite3_finalize(st);
	return ok ? NASC_OK : nasc_fail(err, NASC_DATA, "%s: not a journal of nasc", j->path);
}

/* A damaged page would otherwise show only when a score on it is wanted, hours later. */
static enum nasc_status check_pages(struct journal *j, struct nasc_err *err)
{
	sqlite3_stmt *st;
	bool ok = sqlite3_prepare_v2(j->db, "PRAGMA quick_check(1)", -1, &st, NULL) == SQLITE_OK &&
		  sqlite3_step(st) == SQLITE_ROW &&
		  !strcmp((const char *)sqlite3_column_text(st, 0), "ok");

	sqlite3_finalize(st);
	return ok ? NASC_OK
		  : nasc_fail(err, NASC_DATA,
			      "%s: damaged, the scores in it are lost; give another --out",
			      j->path);
}

/* The tables of this version and nothing besides. */
static enum nasc_status check_schema(struct journal *j, struct nasc_err *err)
{
	unsigned present = 0, tables = 1 << 0 | 1 << 1;
	sqlite3_stmt *st;
	bool known =
		sqlite3_prepare_v2(j->db, "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL", -1,
				   &st, NULL) == SQLITE_OK;

	while (known && sqlite3_step(st) == SQLITE_ROW) {
		const char *sql = (const char *)sqlite3_column_text(st, 0);
		size_t i = 0, n = sizeof schema / sizeof *schema;

		while (i < n && sql && strcmp(sql, schema[i]) != 0)
			i++;
		known = sql && i < n;
		present |= 1u << i;
	}
	sqlite3_finalize(st);
	if (known && (present & tables) == tables)
		return NASC_OK;
	return nasc_fail(err, NASC_DATA,
			 "%s: not a journal of nasc: its tables are not those of one; give "
			 "another --out",
			 j->path);
}

/* What is wrong with a row of COLUMNS; NULL: nothing. */
#define COLUMNS "outcome, scores, why, genes, place"
static const char *row_fault(const struct journal *j, sqlite3_stmt *st)
{
	int64_t outcome = sqlite3_column_int64(st, 0);
	const char *scores = sqlite3_column_blob(st, 1);

	if (sqlite3_column_type(st, 0) != SQLITE_INTEGER ||
	    (outcome != EVAL_OK && outcome != EVAL_FAILED))
		return "an outcome that there is not";
	if (sqlite3_column_type(st, 1) != SQLITE_BLOB ||
	    sqlite3_column_bytes(st, 1) != (int)(j->n_values * sizeof(double)))
		return "other scores than the evaluator gives";
	if (sqlite3_column_type(st, 2) != SQLITE_TEXT)
		return "a reason that is no text";
	if (sqlite3_column_type(st, 3) != SQLITE_TEXT)
		return "genes that are no text";
	if (sqlite3_column_type(st, 4) != SQLITE_INTEGER)
		return "a place that is no integer";
	/* -1: of an earlier run, in journals begun before runs had a base */
	if (sqlite3_column_int64(st, 4) < -1 || sqlite3_column_int64(st, 4) >= PLACE_END)
		return "a place that there is not";
	for (size_t i = 0; i < j->n_values && outcome == EVAL_OK; i++) {
		double v;

		memcpy(&v, scores + i * sizeof v, sizeof v);
		if (!isfinite(v))
			return "a score that is not finite";
		if (j->metric[i].dim == UNIT_FRACTION && (v < 0 || v > 1))
			return "a fraction outside [0, 1]";
	}
	return NULL;
}

static enum nasc_status check_rows(struct journal *j, struct nasc_err *err)
{
	const char *fault = NULL;
	sqlite3_stmt *st;
	int64_t row = 0;
	int rc = sqlite3_prepare_v2(j->db, "SELECT " COLUMNS " FROM evaluation", -1, &st, NULL);

	if (rc == SQLITE_OK)
		while (!fault && (rc = sqlite3_step(st)) == SQLITE_ROW) {
			row++;
			fault = row_fault(j, st);
		}
	sqlite3_finalize(st);
	if (fault)
		return nasc_fail(err, NASC_DATA,
				 "%s: evaluation %lld: %s; it was changed by something else than "
				 "nasc, give another --out",
				 j->path, (long long)row, fault);
	return rc == SQLITE_DONE ? NASC_OK : journal_fail(j, err);
}

static enum nasc_status check_identity(struct journal *j, const struct journal_options *o,
				       struct nasc_err *err)
{
	bool same;

	if (same_meta(j, "identity", o->identity, &same, err))
		return err->code;
	if (!same)
		return nasc_fail(err, NASC_CONFIG, "%s: " OF_ANOTHER_RUN, j->path);
	if (same_meta(j, "origin", o->origin, &same, err))
		return err->code;
	if (!same)
		return nasc_fail(
			err, NASC_CONFIG,
			"%s: its scores would come out differently here (%s); go on with the "
			"processor and program that began it, or give another --out",
			j->path, o->origin);
	return NASC_OK;
}

static enum nasc_status journal_check(struct journal *j, const struct journal_options *o,
				      struct nasc_err *err)
{
	bool same;

	if (check_pages(j, err) || same_meta(j, "version", JOURNAL_VERSION, &same, err))
		return err->code;
	if (!same)
		return nasc_fail(
			err, NASC_DATA,
			"%s: journal in the format of another version than this " NASC_VERSION
			"; end the run with the version that began it, or give another --out",
			j->path);
	if (check_schema(j, err) || check_identity(j, o, err) || check_rows(j, err))
		return err->code;
	return NASC_OK;
}

/* A run killed before its first commit leaves a database without tables. */
static enum nasc_status has_tables(struct journal *j, bool *some, struct nasc_err *err)
{
	sqlite3_stmt *st;
	int rc = sqlite3_prepare_v2(j->db, "SELECT 1 FROM sqlite_master", -1, &st, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	sqlite3_finalize(st);
	*some = rc == SQLITE_ROW;
	return *some || rc == SQLITE_DONE ? NASC_OK : journal_fail(j, err);
}

static enum nasc_status make_tables(struct journal *j, const struct journal_options *o,
				    struct nasc_err *err)
{
	if (sqlite3_exec(j->db, "BEGIN;" META ";" EVALUATION, NULL, NULL, NULL) != SQLITE_OK)
		return journal_fail(j, err);
	if (set_meta(j, "version", JOURNAL_VERSION, err) ||
	    set_meta(j, "identity", o->identity, err) || set_meta(j, "origin", o->origin, err) ||
	    set_meta(j, "run", o->run, err))
		return err->code;
	if (sqlite3_exec(j->db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK)
		return journal_fail(j, err);
	return NASC_OK;
}

/* The one number that @sql asks for. */
static bool get_number(struct journal *j, const char *sql, int64_t *out)
{
	sqlite3_stmt *st;
	bool ok = sqlite3_prepare_v2(j->db, sql, -1, &st, NULL) == SQLITE_OK &&
		  sqlite3_step(st) == SQLITE_ROW;

	*out = ok ? sqlite3_column_int64(st, 0) : 0;
	sqlite3_finalize(st);
	return ok;
}

/* Of the first run there is none, and 0 is meant; what is no number becomes -1. */
#define BASE                                                                                       \
	"SELECT ifnull((SELECT CASE value WHEN CAST(CAST(value AS INTEGER) AS TEXT)"               \
	" THEN CAST(value AS INTEGER) ELSE -1 END FROM meta WHERE key = 'base'), 0)"
static enum nasc_status read_base(struct journal *j, struct nasc_err *err)
{
	if (!get_number(j, BASE, &j->base))
		return journal_fail(j, err);
	if (j->base < 0 || j->base > PLACE_END)
		return nasc_fail(err, NASC_DATA,
				 "%s: its run begins at a place that there is not; it was changed "
				 "by something else than nasc, give another --out",
				 j->path);
	return NASC_OK;
}

/* Of two runs that share scores each counts its candidates from 0. */
static enum nasc_status begin_run(struct journal *j, const struct journal_options *o,
				  struct nasc_err *err)
{
	char base[24];
	bool same;

	if (read_base(j, err) || same_meta(j, "run", o->run, &same, err) || same)
		return err->code;
	if (!get_number(j, "SELECT ifnull(max(place) + 1, 0) FROM evaluation", &j->base) ||
	    sqlite3_exec(j->db, "BEGIN", NULL, NULL, NULL) != SQLITE_OK)
		return journal_fail(j, err);
	snprintf(base, sizeof base, "%lld", (long long)j->base);
	if (set_meta(j, "base", base, err) || set_meta(j, "run", o->run, err))
		return err->code;
	if (sqlite3_exec(j->db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK)
		return journal_fail(j, err);
	return NASC_OK;
}

static bool drop_oldest(struct journal *j, int64_t n)
{
	bool ok = sqlite3_bind_int64(j->drop, 1, n) == SQLITE_OK &&
		  sqlite3_step(j->drop) == SQLITE_DONE;

	if (ok)
		j->rows -= n;
	sqlite3_reset(j->drop);
	return ok;
}

static bool prepare(struct journal *j, sqlite3_stmt **st, const char *sql)
{
	return sqlite3_prepare_v3(j->db, sql, -1, SQLITE_PREPARE_PERSISTENT, st, NULL) == SQLITE_OK;
}

static bool drop_failed(struct journal *j)
{
	_Static_assert(EVAL_OK == 0, "as in the statement");
	return sqlite3_exec(j->db, "DELETE FROM evaluation WHERE outcome <> 0", NULL, NULL, NULL) ==
	       SQLITE_OK;
}

/* The limit may have been another one when the rows were written. */
static bool open_limit(struct journal *j)
{
	return sqlite3_exec(j->db, "CREATE INDEX IF NOT EXISTS " BY_PLACE, NULL, NULL, NULL) ==
		       SQLITE_OK &&
	       prepare(j, &j->oldest, "SELECT min(place) FROM evaluation") &&
	       prepare(j, &j->drop,
		       "DELETE FROM evaluation WHERE genes IN"
		       " (SELECT genes FROM evaluation ORDER BY place, genes LIMIT ?)") &&
	       get_number(j, "SELECT count(*) FROM evaluation", &j->rows) &&
	       (j->rows <= j->limit || drop_oldest(j, j->rows - j->limit));
}

/* ---- open, close ---------------------------------------------------------------------- */

static enum nasc_status journal_begin(struct journal *j, const struct journal_options *o,
				      struct nasc_err *err)
{
	bool some;

	errno = 0;
	/* The write-ahead log is on disk after every commit as far as a killed process is
	 * concerned. What the schema may hold besides tables is not to be trusted. */
	if (sqlite3_open_v2(j->path, &j->db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK ||
	    sqlite3_db_config(j->db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL) != SQLITE_OK ||
	    sqlite3_db_config(j->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL) != SQLITE_OK ||
	    sqlite3_exec(j->db,
			 "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL;"
			 "PRAGMA synchronous=NORMAL; BEGIN EXCLUSIVE; COMMIT;",
			 NULL, NULL, NULL) != SQLITE_OK)
		return journal_fail(j, err);
	if (has_tables(j, &some, err))
		return err->code;
	if (some ? journal_check(j, o, err) || begin_run(j, o, err) : make_tables(j, o, err))
		return err->code;
	if (o->retry_failed && !drop_failed(j))
		return journal_fail(j, err);
	if (!prepare(j, &j->put, "INSERT OR REPLACE INTO evaluation VALUES(?, ?, ?, ?, ?)") ||
	    !prepare(j, &j->get, "SELECT " COLUMNS " FROM evaluation WHERE genes = ?") ||
	    (j->limit && !open_limit(j)))
		return journal_fail(j, err);
	return NASC_OK;
}

static void close_database(struct journal *j)
{
	sqlite3_stmt *const all[] = { j->put, j->get, j->oldest, j->drop };

	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		sqlite3_finalize(all[i]);
	sqlite3_close(j->db);
	j->put = j->get = j->oldest = j->drop = NULL;
	j->db = NULL;
}

/* What could not even be begun would only be in the way of the next try. */
static void remove_files(const char *path)
{
	char name[NAME_MAX_BYTES];

	unlink(path);
	for (size_t i = 0; i < sizeof beside / sizeof *beside; i++)
		unlink(name_beside(name, path, i));
}

enum nasc_status journal_open(struct journal **out, const char *path,
			      const struct journal_options *o, struct nasc_err *err)
{
	struct journal *j = calloc(1, sizeof *j);

	if (!j)
		abort();
	j->path = strdup(path);
	if (!j->path)
		abort();
	j->limit = o->rows;
	j->metric = o->metric;
	j->n_values = o->n_values;
	if (take_file(j, o->resume, err) || journal_begin(j, o, err)) {
		/* Before closing the database ends the lock. */
		if (j->created && j->locked && file_named(j->fd, path))
			remove_files(path);
		journal_close(j);
		return err->code;
	}
	*out = j;
	return NASC_OK;
}

void journal_close(struct journal *j)
{
	if (!j)
		return;
	close_database(j);
	if (j->fd >= 0)
		close(j->fd);
	free(j->path);
	free(j);
}

/* ---- rows -------------------------------------------------------------------------------- */

bool journal_get(struct journal *j, const char *genes, enum eval_outcome *outcome,
		 struct eval_result *r)
{
	bool found = sqlite3_bind_text(j->get, 1, genes, -1, SQLITE_STATIC) == SQLITE_OK &&
		     sqlite3_step(j->get) == SQLITE_ROW && !row_fault(j, j->get);

	if (found) {
		*outcome = (enum eval_outcome)sqlite3_column_int(j->get, 0);
		memcpy(r->value, sqlite3_column_blob(j->get, 1), j->n_values * sizeof *r->value);
		snprintf(r->why, sizeof r->why, "%s", (const char *)sqlite3_column_text(j->get, 2));
	}
	sqlite3_reset(j->get);
	return found;
}

/* Room for a row that is not there yet; *older: there is none, every row stands behind it. A
 * resumed run asks again for what was dropped, in the same order, and must not push out for it
 * what it will need next. */
static bool make_room(struct journal *j, int64_t place, bool *older)
{
	bool ok = true;

	if (j->rows < j->limit)
		return true;
	errno = 0;
	ok = sqlite3_step(j->oldest) == SQLITE_ROW;
	*older = ok && place < sqlite3_column_int64(j->oldest, 0);
	sqlite3_reset(j->oldest);
	return ok && (*older || drop_oldest(j, 1));
}

static bool put_row(struct journal *j, const char *genes, int64_t place, enum eval_outcome outcome,
		    const struct eval_result *r)
{
	errno = 0;
	return sqlite3_bind_text(j->put, 1, genes, -1, SQLITE_STATIC) == SQLITE_OK &&
	       sqlite3_bind_int64(j->put, 2, place) == SQLITE_OK &&
	       sqlite3_bind_int(j->put, 3, (int)outcome) == SQLITE_OK &&
	       sqlite3_bind_blob(j->put, 4, r->value, (int)(j->n_values * sizeof *r->value),
				 SQLITE_STATIC) == SQLITE_OK &&
	       sqlite3_bind_text(j->put, 5, outcome == EVAL_OK ? "" : r->why, -1, SQLITE_STATIC) ==
		       SQLITE_OK &&
	       sqlite3_step(j->put) == SQLITE_DONE;
}

enum nasc_status journal_put(struct journal *j, const char *genes, uint64_t place,
			     enum eval_outcome outcome, const struct eval_result *r,
			     struct nasc_err *err)
{
	struct eval_result old;
	enum eval_outcome was;
	int64_t at = j->base + (int64_t)place;
	bool fresh = j->limit && !journal_get(j, genes, &was, &old), older = false;
	bool ok = (!fresh || make_room(j, at, &older)) &&
		  (older || put_row(j, genes, at, outcome, r));

	if (!ok)
		journal_fail(j, err);
	else
		j->rows += fresh && !older;
	sqlite3_reset(j->put);
	return ok ? NASC_OK : err->code;
}

enum nasc_status journal_in_place(const struct journal *j, struct nasc_err *err)
{
	if (file_named(j->fd, j->path) || access(j->path, F_OK) != 0)
		return NASC_OK;
	return nasc_fail(err, NASC_FAIL,
			 "%s: another file has taken its place while the run went on; no results "
			 "are written, as they may be another run's; give another --out",
			 j->path);
}
