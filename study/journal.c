#include "private.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define JOURNAL_VERSION "1"

struct journal {
	sqlite3 *db;
	sqlite3_stmt *put, *get;
};

static enum nasc_status journal_fail(struct journal *j, const char *path, struct nasc_err *err)
{
	int rc = sqlite3_errcode(j->db);

	if (rc == SQLITE_BUSY || rc == SQLITE_LOCKED)
		return nasc_fail(err, NASC_FAIL, "%s: another run is writing this journal", path);
	return nasc_fail(err, rc == SQLITE_NOTADB || rc == SQLITE_CORRUPT ? NASC_DATA : NASC_FAIL,
			 "%s: %s", path, sqlite3_errmsg(j->db));
}

static enum nasc_status set_meta(struct journal *j, const char *path, const char *key,
				 const char *value, struct nasc_err *err)
{
	sqlite3_stmt *st;
	bool ok = sqlite3_prepare_v2(j->db, "INSERT INTO meta VALUES(?, ?)", -1, &st, NULL) ==
			  SQLITE_OK &&
		  sqlite3_bind_text(st, 1, key, -1, SQLITE_STATIC) == SQLITE_OK &&
		  sqlite3_bind_text(st, 2, value, -1, SQLITE_STATIC) == SQLITE_OK &&
		  sqlite3_step(st) == SQLITE_DONE;

	sqlite3_finalize(st);
	return ok ? NASC_OK : journal_fail(j, path, err);
}

/* NASC_OK with *same telling whether the stored value equals @value. */
static enum nasc_status same_meta(struct journal *j, const char *path, const char *key,
				  const char *value, bool *same, struct nasc_err *err)
{
	sqlite3_stmt *st;
	bool ok = sqlite3_prepare_v2(j->db, "SELECT value FROM meta WHERE key = ?", -1, &st,
				     NULL) == SQLITE_OK &&
		  sqlite3_bind_text(st, 1, key, -1, SQLITE_STATIC) == SQLITE_OK &&
		  sqlite3_step(st) == SQLITE_ROW;
	const char *text = ok ? (const char *)sqlite3_column_text(st, 0) : NULL;

	*same = text && !strcmp(text, value);
	sqlite3_finalize(st);
	return ok ? NASC_OK : nasc_fail(err, NASC_DATA, "%s: not a journal of nasc", path);
}

/* A damaged page would otherwise show only when a score on it is wanted, hours later. */
static enum nasc_status check_pages(struct journal *j, const char *path, struct nasc_err *err)
{
	sqlite3_stmt *st;
	bool ok = sqlite3_prepare_v2(j->db, "PRAGMA quick_check(1)", -1, &st, NULL) == SQLITE_OK &&
		  sqlite3_step(st) == SQLITE_ROW &&
		  !strcmp((const char *)sqlite3_column_text(st, 0), "ok");

	sqlite3_finalize(st);
	return ok ? NASC_OK
		  : nasc_fail(err, NASC_DATA,
			      "%s: damaged, the scores in it are lost; give another --out", path);
}

static enum nasc_status journal_check(struct journal *j, const char *path, const char *identity,
				      struct nasc_err *err)
{
	bool same;

	if (check_pages(j, path, err) || same_meta(j, path, "version", JOURNAL_VERSION, &same, err))
		return err->code;
	if (!same)
		return nasc_fail(err, NASC_DATA,
				 "%s: journal of another version than " JOURNAL_VERSION, path);
	if (same_meta(j, path, "identity", identity, &same, err))
		return err->code;
	if (!same)
		return nasc_fail(err, NASC_CONFIG, "%s: " OF_ANOTHER_RUN, path);
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

static enum nasc_status journal_begin(struct journal *j, const char *path, const char *identity,
				      struct nasc_err *err)
{
	/* Exclusive: the second of two runs fails at once instead of mixing in. The write-ahead
	 * log is on disk after every commit as far as a killed process is concerned. */
	if (sqlite3_exec(j->db,
			 "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL;"
			 "PRAGMA synchronous=NORMAL; BEGIN EXCLUSIVE; COMMIT;",
			 NULL, NULL, NULL) != SQLITE_OK)
		return journal_fail(j, path, err);
	if (has_tables(j)) {
		if (journal_check(j, path, identity, err))
			return err->code;
	} else if (sqlite3_exec(
			   j->db,
			   "BEGIN; CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL);"
			   "CREATE TABLE evaluation(genes TEXT PRIMARY KEY, outcome INTEGER NOT "
			   "NULL,"
			   " scores BLOB NOT NULL, why TEXT NOT NULL) WITHOUT ROWID;",
			   NULL, NULL, NULL) != SQLITE_OK) {
		return journal_fail(j, path, err);
	} else if (set_meta(j, path, "version", JOURNAL_VERSION, err) ||
		   set_meta(j, path, "identity", identity, err)) {
		return err->code;
	} else if (sqlite3_exec(j->db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK) {
		return journal_fail(j, path, err);
	}
	if (sqlite3_prepare_v2(j->db, "INSERT OR REPLACE INTO evaluation VALUES(?, ?, ?, ?)", -1,
			       &j->put, NULL) != SQLITE_OK ||
	    sqlite3_prepare_v2(j->db, "SELECT outcome, scores, why FROM evaluation WHERE genes = ?",
			       -1, &j->get, NULL) != SQLITE_OK)
		return journal_fail(j, path, err);
	return NASC_OK;
}

enum nasc_status journal_open(struct journal **out, const char *path, const char *identity,
			      bool resume, struct nasc_err *err)
{
	struct journal *j;
	enum nasc_status st;

	if (!resume && access(path, F_OK) == 0)
		return nasc_fail(
			err, NASC_USAGE,
			"%s: journal of an earlier run; go on with --resume, or give another "
			"--out",
			path);
	j = calloc(1, sizeof *j);
	if (!j)
		abort();
	if (sqlite3_open_v2(path, &j->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) !=
	    SQLITE_OK)
		st = journal_fail(j, path, err);
	else
		st = journal_begin(j, path, identity, err);
	if (st) {
		journal_close(j);
		return st;
	}
	*out = j;
	return NASC_OK;
}

enum nasc_status journal_put(struct journal *j, const char *genes, enum eval_outcome outcome,
			     const double *value, size_t n_values, const char *why,
			     struct nasc_err *err)
{
	bool ok = sqlite3_bind_text(j->put, 1, genes, -1, SQLITE_STATIC) == SQLITE_OK &&
		  sqlite3_bind_int(j->put, 2, (int)outcome) == SQLITE_OK &&
		  sqlite3_bind_blob(j->put, 3, value, (int)(n_values * sizeof *value),
				    SQLITE_STATIC) == SQLITE_OK &&
		  sqlite3_bind_text(j->put, 4, why, -1, SQLITE_STATIC) == SQLITE_OK &&
		  sqlite3_step(j->put) == SQLITE_DONE;

	if (!ok)
		journal_fail(j, sqlite3_db_filename(j->db, "main"), err);
	sqlite3_reset(j->put);
	return ok ? NASC_OK : err->code;
}

bool journal_get(struct journal *j, const char *genes, enum eval_outcome *outcome, double *value,
		 size_t n_values, char why[256])
{
	bool found = sqlite3_bind_text(j->get, 1, genes, -1, SQLITE_STATIC) == SQLITE_OK &&
		     sqlite3_step(j->get) == SQLITE_ROW &&
		     sqlite3_column_bytes(j->get, 1) == (int)(n_values * sizeof *value);

	if (found) {
		*outcome = sqlite3_column_int(j->get, 0) == EVAL_OK ? EVAL_OK : EVAL_FAILED;
		memcpy(value, sqlite3_column_blob(j->get, 1), n_values * sizeof *value);
		snprintf(why, 256, "%s", (const char *)sqlite3_column_text(j->get, 2));
	}
	sqlite3_reset(j->get);
	return found;
}

void journal_close(struct journal *j)
{
	if (!j)
		return;
	sqlite3_finalize(j->put);
	sqlite3_finalize(j->get);
	sqlite3_close(j->db);
	free(j);
}
