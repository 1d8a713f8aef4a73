#include "private.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "file.h"

#define JOURNAL_VERSION "2"

struct journal {
	char *path;
	sqlite3 *db;
	sqlite3_stmt *put, *get, *oldest, *drop;
	/* Holds the lock. POSIX forgets a process's locks on a file when it closes any
	 * descriptor of it, so this one is closed last. */
	int fd;
	bool locked, created;
	size_t n_values;
	int64_t limit, rows; /* 0: no limit; rows: counted only with a limit */
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

/* Of two runs the second fails at once instead of mixing in. The first byte is not among those
 * that SQLite locks, and unlike its locks this one is taken in a single step. */
static enum nasc_status take_file(struct journal *j, bool resume, struct nasc_err *err)
{
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1 };

	j->fd = open(j->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	j->created = j->fd >= 0;
	if (!j->created && errno == EEXIST)
		j->fd = open(j->path, O_RDWR | O_CLOEXEC);
	if (j->fd < 0)
		return file_fail(err, j->path, "cannot open", errno);
	if (fcntl(j->fd, F_SETLK, &l)) {
		if (errno == EACCES || errno == EAGAIN)
			return in_use(j, err);
		return file_fail(err, j->path, "cannot lock", errno);
	}
	j->locked = true;
	if (!j->created && !resume)
		return nasc_fail(
			err, NASC_USAGE,
			"%s: journal of an earlier run; go on with --resume, or give another "
			"--out",
			j->path);
	return NASC_OK;
}

/* ---- tables ------------------------------------------------------------------------- */

static enum nasc_status journal_fail(struct journal *j, struct nasc_err *err)
{
	/* Of some writes SQLite keeps the reason to itself, but leaves it in errno. */
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
	bool ok = sqlite3_prepare_v2(j->db, "INSERT INTO meta VALUES(?, ?)", -1, &st, NULL) ==
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

/* A run killed before its first commit leaves a database without tables. */
static bool has_tables(struct journal *j)
{
	sqlite3_stmt *st;
	bool some = sqlite3_prepare_v2(j->db, "SELECT 1 FROM sqlite_master", -1, &st, NULL) ==
			    SQLITE_OK &&
		    sqlite3_step(st) == SQLITE_ROW;

	sqlite3_finalize(st);
	return some;
}

static enum nasc_status make_tables(struct journal *j, const struct journal_options *o,
				    struct nasc_err *err)
{
	if (sqlite3_exec(j->db,
			 "BEGIN; CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL);"
			 "CREATE TABLE evaluation(genes TEXT PRIMARY KEY, place INTEGER NOT NULL,"
			 " outcome INTEGER NOT NULL, scores BLOB NOT NULL, why TEXT NOT NULL)"
			 " WITHOUT ROWID;",
			 NULL, NULL, NULL) != SQLITE_OK)
		return journal_fail(j, err);
	if (set_meta(j, "version", JOURNAL_VERSION, err) ||
	    set_meta(j, "identity", o->identity, err) || set_meta(j, "origin", o->origin, err))
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

static bool count_rows(struct journal *j)
{
	sqlite3_stmt *st;
	bool ok = sqlite3_prepare_v2(j->db, "SELECT count(*) FROM evaluation", -1, &st, NULL) ==
			  SQLITE_OK &&
		  sqlite3_step(st) == SQLITE_ROW;

	j->rows = ok ? sqlite3_column_int64(st, 0) : 0;
	sqlite3_finalize(st);
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
	return sqlite3_exec(j->db,
			    "CREATE INDEX IF NOT EXISTS by_place ON evaluation(place, genes)", NULL,
			    NULL, NULL) == SQLITE_OK &&
	       prepare(j, &j->oldest, "SELECT min(place) FROM evaluation") &&
	       prepare(j, &j->drop,
		       "DELETE FROM evaluation WHERE genes IN"
		       " (SELECT genes FROM evaluation ORDER BY place, genes LIMIT ?)") &&
	       count_rows(j) && (j->rows <= j->limit || drop_oldest(j, j->rows - j->limit));
}

/* ---- open, close ---------------------------------------------------------------------- */

static enum nasc_status journal_begin(struct journal *j, const struct journal_options *o,
				      struct nasc_err *err)
{
	/* The write-ahead log is on disk after every commit as far as a killed process is
	 * concerned. */
	if (sqlite3_open_v2(j->path, &j->db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK ||
	    sqlite3_exec(j->db,
			 "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL;"
			 "PRAGMA synchronous=NORMAL; BEGIN EXCLUSIVE; COMMIT;",
			 NULL, NULL, NULL) != SQLITE_OK)
		return journal_fail(j, err);
	if (has_tables(j) ? journal_check(j, o, err) : make_tables(j, o, err))
		return err->code;
	if (o->retry_failed && !drop_failed(j))
		return journal_fail(j, err);
	if (!prepare(j, &j->put, "INSERT OR REPLACE INTO evaluation VALUES(?, ?, ?, ?, ?)") ||
	    !prepare(j, &j->get, "SELECT outcome, scores, why FROM evaluation WHERE genes = ?") ||
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
	static const char *const suffix[] = { "", "-journal", "-wal" };
	char name[4096 + 16];

	for (size_t i = 0; i < sizeof suffix / sizeof *suffix; i++) {
		snprintf(name, sizeof name, "%s%s", path, suffix[i]);
		unlink(name);
	}
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
	j->n_values = o->n_values;
	if (take_file(j, o->resume, err) || journal_begin(j, o, err)) {
		close_database(j);
		if (j->created && j->locked)
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
		     sqlite3_step(j->get) == SQLITE_ROW &&
		     sqlite3_column_bytes(j->get, 1) == (int)(j->n_values * sizeof *r->value);

	if (found) {
		*outcome = sqlite3_column_int(j->get, 0) == EVAL_OK ? EVAL_OK : EVAL_FAILED;
		memcpy(r->value, sqlite3_column_blob(j->get, 1), j->n_values * sizeof *r->value);
		snprintf(r->why, sizeof r->why, "%s", (const char *)sqlite3_column_text(j->get, 2));
	}
	sqlite3_reset(j->get);
	return found;
}

/* Room for a row that is not there yet; *older: there is none, every row stands behind it. A
 * resumed run asks again for what was dropped, in the same order, and must not push out for it
 * what it will need next. */
static bool make_room(struct journal *j, uint64_t place, bool *older)
{
	bool ok = true;

	if (j->rows < j->limit)
		return true;
	ok = sqlite3_step(j->oldest) == SQLITE_ROW;
	*older = ok && (int64_t)place < sqlite3_column_int64(j->oldest, 0);
	sqlite3_reset(j->oldest);
	return ok && (*older || drop_oldest(j, 1));
}

static bool put_row(struct journal *j, const char *genes, uint64_t place, enum eval_outcome outcome,
		    const struct eval_result *r)
{
	return sqlite3_bind_text(j->put, 1, genes, -1, SQLITE_STATIC) == SQLITE_OK &&
	       sqlite3_bind_int64(j->put, 2, (int64_t)place) == SQLITE_OK &&
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
	bool fresh = j->limit && !journal_get(j, genes, &was, &old), older = false;
	bool ok = (!fresh || make_room(j, place, &older)) &&
		  (older || put_row(j, genes, place, outcome, r));

	if (!ok)
		journal_fail(j, err);
	else
		j->rows += fresh && !older;
	sqlite3_reset(j->put);
	return ok ? NASC_OK : err->code;
}
