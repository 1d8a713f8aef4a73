#define _XOPEN_SOURCE 700 /* nftw() */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "private.h"
#include "scratch.h"

TestSuite(journal, .init = begin, .fini = finish);

/* ---- a journal of two figures a row ------------------------------------------------ */

static const struct metric any[] = { { "a", "a", UNIT_NONE, false, false, "" },
				     { "b", "b", UNIT_NONE, false, false, "" } },
			   fractions[] = { { "a", "a", UNIT_FRACTION, false, false, "" },
					   { "b", "b", UNIT_NONE, false, false, "" } };
#define OF_THIS_RUN .identity = "me", .origin = "here", .run = "one", .metric = any, .n_values = 2
static const struct journal_options fresh = { OF_THIS_RUN },
				    resume = { OF_THIS_RUN, .resume = true };

static struct journal *open_journal(const struct journal_options *o)
{
	struct nasc_err err = { 0 };
	struct journal *j = NULL;

	cr_assert_eq(journal_open(&j, "r.journal", o, &err), NASC_OK, "%s", err.msg);
	return j;
}

static struct journal *open_limited(int64_t rows)
{
	struct journal_options o = resume;

	o.rows = rows;
	return open_journal(&o);
}

static void refuse(const struct journal_options *o, enum nasc_status code, const char *want)
{
	struct nasc_err err = { 0 };
	struct journal *j = NULL;

	cr_expect_eq(journal_open(&j, "r.journal", o, &err), code, "%s", want);
	cr_expect_str_eq(err.msg, want, "%s", err.msg);
	cr_expect_null(j);
}

static enum nasc_status try_put(struct journal *j, int i, struct nasc_err *err)
{
	struct eval_result r = { .value = { i / 7.0, -i }, .why = "because" };
	char genes[32];

	snprintf(genes, sizeof genes, "0 %d", i);
	return journal_put(j, genes, (uint64_t)i, i % 3 ? EVAL_OK : EVAL_FAILED, &r, err);
}

static void put(struct journal *j, int i)
{
	struct nasc_err err = { 0 };

	cr_assert_eq(try_put(j, i, &err), NASC_OK, "%s", err.msg);
}

static bool has(struct journal *j, int i)
{
	enum eval_outcome outcome = EVAL_CANCELLED;
	struct eval_result r = { .value = { 99, 99 }, .why = "?" };
	char genes[32];

	snprintf(genes, sizeof genes, "0 %d", i);
	if (!journal_get(j, genes, &outcome, &r))
		return false;
	cr_expect_eq(outcome, i % 3 ? EVAL_OK : EVAL_FAILED);
	cr_expect(r.value[0] == i / 7.0 && r.value[1] == -i);
	cr_expect_str_eq(r.why, i % 3 ? "" : "because");
	return true;
}

/* Are the rows @first .. @last there, and none else below @end? */
static void expect_rows(struct journal *j, int first, int last, int end)
{
	for (int i = 0; i < end; i++)
		cr_expect_eq(has(j, i), i >= first && i <= last, "row %d of %d..%d", i, first,
			     last);
}

Test(journal, keeps_what_was_put)
{
	struct journal *j = open_journal(&fresh);

	cr_expect_not(has(j, 1));
	for (int i = 1; i <= 100; i++)
		put(j, i);
	for (int i = 1; i <= 100; i++)
		cr_expect(has(j, i), "%d", i);
	cr_expect_not(has(j, 101));
	journal_close(j);
	j = open_journal(&resume);
	for (int i = 1; i <= 100; i++)
		cr_expect(has(j, i), "%d after opening again", i);
	put(j, 101);
	cr_expect(has(j, 101));
	journal_close(j);
	journal_close(NULL);
}

/* Of what put() wrote, every third row is a failure. */
Test(journal, drops_failures_when_told)
{
	struct journal_options o = resume;
	struct journal *j = open_journal(&fresh);

	for (int i = 0; i < 30; i++)
		put(j, i);
	journal_close(j);
	o.retry_failed = true;
	j = open_journal(&o);
	for (int i = 0; i < 30; i++)
		cr_expect_eq(has(j, i), i % 3 != 0, "%d", i);
	journal_close(j);
}

Test(journal, refuses_an_earlier_one_and_another_run)
{
	struct journal_options other = resume, elsewhere = resume;

	other.identity = "you";
	elsewhere.origin = "bf16";
	journal_close(open_journal(&fresh));
	refuse(&fresh, NASC_USAGE,
	       "r.journal: journal of an earlier run; go on with --resume, or give another --out");
	refuse(&other, NASC_CONFIG,
	       "r.journal: belongs to a run with another seed, space, data or evaluator; give that "
	       "config, or another --out");
	refuse(&elsewhere, NASC_CONFIG,
	       "r.journal: its scores would come out differently here (bf16); go on with the "
	       "processor and program that began it, or give another --out");
	journal_close(open_journal(&resume));
}

static void run_sql(const char *sql)
{
	char *why = NULL;
	sqlite3 *db;

	cr_assert_eq(sqlite3_open("r.journal", &db), SQLITE_OK);
	cr_assert_eq(sqlite3_exec(db, sql, NULL, NULL, &why), SQLITE_OK, "%s: %s", sql, why);
	sqlite3_close(db);
}

Test(journal, refuses_another_version)
{
	journal_close(open_journal(&fresh));
	run_sql("UPDATE meta SET value = '2' WHERE key = 'version'");
	refuse(&resume, NASC_DATA,
	       "r.journal: journal in the format of another version than this 0.1.0; end the run "
	       "with the version that began it, or give another --out");
}

/* Of a process that opens the journal with @o; the exit code it is left with. */
static int other_process(const struct journal_options *o, const char *want)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		struct nasc_err err = { 0 };
		struct journal *second;
		enum nasc_status st = journal_open(&second, "r.journal", o, &err);

		if (want && strcmp(err.msg, want) != 0)
			fprintf(stderr, "# %s\n", err.msg);
		_exit(!want || !strcmp(err.msg, want) ? (int)st : 99);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* From its opening on, before any score, with resume or without. */
Test(journal, one_process_at_a_time)
{
	struct journal *j = open_journal(&fresh);
	char want[128];

	snprintf(want, sizeof want,
		 "r.journal: in use by the process with id %ld; wait for it or end it, or give "
		 "another --out",
		 (long)getpid());
	cr_expect_eq(other_process(&resume, want), NASC_FAIL);
	cr_expect_eq(other_process(&fresh, want), NASC_FAIL);
	put(j, 1);
	cr_expect_eq(other_process(&resume, want), NASC_FAIL);
	put(j, 2); /* the first one is none the worse */
	cr_expect(has(j, 1) && has(j, 2));
	journal_close(j);
	cr_expect_eq(other_process(&resume, ""), NASC_OK);
}

/* A reader of another kind, whose locks are SQLite's alone. */
Test(journal, refused_while_another_program_writes)
{
	int ready[2], status;
	char want[128];
	pid_t pid;

	journal_close(open_journal(&fresh));
	cr_assert_eq(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		sqlite3 *db;

		if (sqlite3_open("r.journal", &db) ||
		    sqlite3_exec(db, "PRAGMA locking_mode=EXCLUSIVE; BEGIN EXCLUSIVE", NULL, NULL,
				 NULL) ||
		    write(ready[1], "x", 1) != 1)
			_exit(1);
		pause();
	}
	cr_assert_eq(read(ready[0], want, 1), 1);
	snprintf(want, sizeof want,
		 "r.journal: in use by the process with id %ld; wait for it or end it, or give "
		 "another --out",
		 (long)pid);
	refuse(&resume, NASC_FAIL, want);
	kill(pid, SIGKILL);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	journal_close(open_journal(&resume));
}

/* Started at the same moment, exactly one gets it. */
Test(journal, of_many_at_once_one_wins, .timeout = 60)
{
	for (int round = 0; round < 20; round++) {
		int go[2], status, won = 0;
		pid_t pid[4];
		char c;

		cr_assert_eq(pipe(go), 0);
		for (int i = 0; i < 4; i++) {
			pid[i] = fork();
			if (pid[i] == 0) {
				struct nasc_err err = { 0 };
				struct journal *j;

				close(go[1]);
				while (read(go[0], &c, 1) > 0)
					;
				if (journal_open(&j, "r.journal", &resume, &err))
					_exit(strstr(err.msg, "in use by") ? 1 : 2);
				sleep(100);
			}
		}
		close(go[0]);
		close(go[1]);
		for (int lost = 0; lost < 3; lost++) {
			pid_t done = waitpid(-1, &status, 0);

			cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 1, "round %d: %x",
				  round, (unsigned)status);
			for (int i = 0; i < 4; i++)
				if (pid[i] == done)
					pid[i] = 0;
		}
		for (int i = 0; i < 4; i++)
			if (pid[i]) {
				won++;
				cr_assert_eq(waitpid(pid[i], &status, WNOHANG), 0);
				kill(pid[i], SIGKILL);
				waitpid(pid[i], &status, 0);
			}
		cr_assert_eq(won, 1);
		if (round % 2)
			unlink("r.journal");
	}
}

Test(journal, survives_a_kill)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		struct journal *j = open_journal(&fresh);

		for (int i = 1; i <= 20; i++)
			put(j, i);
		raise(SIGKILL);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFSIGNALED(status));
	struct journal *j = open_journal(&resume);
	for (int i = 1; i <= 20; i++)
		cr_expect(has(j, i), "%d", i);
	journal_close(j);
}

/* What a kill before the first commit leaves: no byte at all, or a database without tables. */
Test(journal, goes_on_from_an_empty_file)
{
	struct journal_options other = resume;

	other.identity = "you";
	for (int i = 0; i < 2; i++) {
		write_file("r.journal", "");
		journal_close(open_journal(i ? &resume : &fresh));
		unlink("r.journal");
	}
	run_sql("PRAGMA user_version = 1");
	journal_close(open_journal(&resume));
	refuse(&other, NASC_CONFIG,
	       "r.journal: belongs to a run with another seed, space, data or evaluator; give that "
	       "config, or another --out");
}

Test(journal, refuses_what_is_none)
{
	char text[2000] = "not a database, whatever its name says";

	memset(text + strlen(text), '.', sizeof text - 1 - strlen(text));
	write_file("r.journal", text);
	refuse(&resume, NASC_DATA, "r.journal: file is not a database");
	unlink("r.journal");
	run_sql("CREATE TABLE tunes(name TEXT)");
	refuse(&resume, NASC_DATA, "r.journal: not a journal of nasc");
}

/* What has the name of a journal and is no file, or has a neighbour that is none. */
Test(journal, refuses_what_is_no_file, .timeout = 60)
{
	cr_assert_eq(mkfifo("r.journal", 0666), 0);
	refuse(&resume, NASC_DATA, "r.journal: is not a regular file");
	unlink("r.journal");
	cr_assert_eq(symlink("/dev/zero", "r.journal"), 0);
	refuse(&resume, NASC_DATA, "r.journal: is not a regular file");
	unlink("r.journal");
	cr_assert_eq(mkdir("r.journal", 0777), 0);
	refuse(&resume, NASC_DATA, "r.journal: is a directory, not a file");
	rmdir("r.journal");
	journal_close(open_journal(&fresh));
	for (int i = 0; i < 4; i++) {
		const char *name = i < 2 ? "r.journal-wal" : "r.journal-journal";
		char want[64];

		snprintf(want, sizeof want, "%s: is not a regular file", name);
		cr_assert_eq(i % 2 ? mkdir(name, 0777) : mkfifo(name, 0666), 0);
		refuse(&resume, NASC_DATA, want);
		remove(name);
	}
	journal_close(open_journal(&resume));
}

/* A journal that somebody else has had a hand in, and what must be said of it behind the name. */
#define NO_TABLES "not a journal of nasc: its tables are not those of one; give another --out"
#define CHANGED	  "it was changed by something else than nasc, give another --out"
#define NO_BASE	  "its run begins at a place that there is not; " CHANGED
#define DAMAGED	  "damaged, the scores in it are lost; give another --out"
static const struct {
	const char *sql, *want;
} hands[] = {
	{ "UPDATE evaluation SET scores = x'000000000000f87f0000000000000000' WHERE genes = '0 4'",
	  "evaluation 2: a score that is not finite; " CHANGED }, /* NaN */
	{ "UPDATE evaluation SET scores = x'0000000000000000000000000000f07f' WHERE genes = '0 1'",
	  "evaluation 1: a score that is not finite; " CHANGED }, /* inf */
	{ "UPDATE evaluation SET scores = x'000000000000f0bf0000000000000000'",
	  "evaluation 1: a fraction outside [0, 1]; " CHANGED }, /* -1 */
	{ "UPDATE evaluation SET scores = x'0000000000000040000000000000f03f'",
	  "evaluation 1: a fraction outside [0, 1]; " CHANGED }, /* 2 */
	{ "UPDATE evaluation SET scores = zeroblob(8)",
	  "evaluation 1: other scores than the evaluator gives; " CHANGED },
	{ "UPDATE evaluation SET scores = zeroblob(24)",
	  "evaluation 1: other scores than the evaluator gives; " CHANGED },
	{ "UPDATE evaluation SET scores = '0.5 and so on...'",
	  "evaluation 1: other scores than the evaluator gives; " CHANGED },
	{ "UPDATE evaluation SET scores = 1", "evaluation 1: other scores than the evaluator "
					      "gives; " CHANGED },
	{ "UPDATE evaluation SET why = zeroblob(3)",
	  "evaluation 1: a reason that is no text; " CHANGED },
	{ "UPDATE evaluation SET outcome = 2",
	  "evaluation 1: an outcome that there is not; " CHANGED },
	{ "UPDATE evaluation SET outcome = 4294967296",
	  "evaluation 1: an outcome that there is not; " CHANGED },
	{ "UPDATE evaluation SET outcome = 'well'",
	  "evaluation 1: an outcome that there is not; " CHANGED },
	{ "UPDATE evaluation SET outcome = 0.5",
	  "evaluation 1: an outcome that there is not; " CHANGED },
	{ "UPDATE evaluation SET place = 'first'",
	  "evaluation 1: a place that is no integer; " CHANGED },
	{ "UPDATE evaluation SET place = -2", "evaluation 1: a place that there is not; " CHANGED },
	{ "UPDATE evaluation SET place = 4611686018427387904", /* 2^62 */
	  "evaluation 1: a place that there is not; " CHANGED },
	{ "UPDATE evaluation SET place = 9223372036854775807",
	  "evaluation 1: a place that there is not; " CHANGED },
	{ "INSERT INTO meta VALUES('base', 'three')", NO_BASE },
	{ "INSERT INTO meta VALUES('base', '')", NO_BASE },
	{ "INSERT INTO meta VALUES('base', '1e3')", NO_BASE },
	{ "INSERT INTO meta VALUES('base', '07')", NO_BASE },
	{ "INSERT INTO meta VALUES('base', x'37')", NO_BASE }, /* the 7 as bytes */
	{ "INSERT INTO meta VALUES('base', -1)", NO_BASE },
	{ "INSERT INTO meta VALUES('base', 4611686018427387905)", NO_BASE },
	{ "INSERT INTO meta VALUES('base', 9223372036854775807)", NO_BASE },
	{ "INSERT INTO meta VALUES('base', '99999999999999999999')", NO_BASE },
	{ "INSERT INTO evaluation SELECT x'00', place, outcome, scores, why FROM evaluation LIMIT "
	  "1",
	  "evaluation 3: genes that are no text; " CHANGED },
	{ "DROP TABLE evaluation", NO_TABLES },
	{ "DROP TABLE meta", "not a journal of nasc" },
	{ "DELETE FROM meta", "not a journal of nasc" },
	{ "DELETE FROM meta WHERE key = 'run'", "not a journal of nasc" },
	{ "DROP TABLE evaluation; CREATE TABLE evaluation(genes TEXT PRIMARY KEY, why TEXT)",
	  NO_TABLES },
	{ "ALTER TABLE evaluation ADD COLUMN mood", NO_TABLES },
	{ "ALTER TABLE evaluation RENAME COLUMN why TO reason", NO_TABLES },
	{ "CREATE TABLE more(a)", NO_TABLES },
	{ "CREATE VIEW more AS SELECT * FROM meta", NO_TABLES },
	{ "CREATE TRIGGER worse AFTER INSERT ON evaluation BEGIN DELETE FROM evaluation; END",
	  NO_TABLES },
	{ "DROP TABLE meta; CREATE VIEW meta(key, value) AS WITH RECURSIVE r(x) AS (SELECT 1 UNION "
	  "ALL SELECT x FROM r) SELECT 'version', x FROM r",
	  "not a journal of nasc" },
	/* NULL where the schema says there is none */
	{ "PRAGMA writable_schema = 1; UPDATE sqlite_master SET sql = replace(sql, 'why TEXT NOT "
	  "NULL', 'why TEXT') WHERE name = 'evaluation'",
	  NO_TABLES },
	{ "PRAGMA writable_schema = 1; UPDATE sqlite_master SET sql = 'CREATE TABLE oh(' WHERE "
	  "name = 'evaluation'",
	  "malformed database schema (evaluation)" },
};

Test(journal, refuses_what_another_hand_wrote, .timeout = 60)
{
	for (size_t i = 0; i < sizeof hands / sizeof *hands; i++) {
		struct journal_options o = resume;
		char want[256];
		struct journal *j;

		o.metric = fractions;
		j = open_journal(&o);
		put(j, 1);
		put(j, 4);
		journal_close(j);
		run_sql(hands[i].sql);
		snprintf(want, sizeof want, "r.journal: %s", hands[i].want);
		refuse(&o, NASC_DATA, want);
		unlink("r.journal");
	}
}

Test(journal, refuses_null_where_there_is_none)
{
	struct journal *j = open_journal(&fresh);

	put(j, 1);
	journal_close(j);
	run_sql("PRAGMA writable_schema = 1; UPDATE sqlite_master SET sql = replace(sql, "
		"'why TEXT NOT NULL', 'why TEXT') WHERE name = 'evaluation'");
	run_sql("UPDATE evaluation SET why = NULL");
	run_sql("PRAGMA writable_schema = 1; UPDATE sqlite_master SET sql = replace(sql, "
		"'why TEXT', 'why TEXT NOT NULL') WHERE name = 'evaluation'");
	refuse(&resume, NASC_DATA, "r.journal: " DAMAGED);
}

static void damage(size_t at, size_t n)
{
	FILE *fp = fopen("r.journal", "r+b");

	cr_assert(fp && fseek(fp, (long)at, SEEK_SET) == 0);
	for (size_t i = 0; i < n; i++)
		fputc(0x5a, fp);
	fclose(fp);
}

Test(journal, refuses_a_damaged_one)
{
	for (int how = 0; how < 3; how++) {
		struct nasc_err err = { 0 };
		struct stat st;
		struct journal *j;

		unlink("r.journal");
		j = open_journal(&fresh);
		for (int i = 1; i <= 1000; i++)
			put(j, i);
		journal_close(j);
		cr_assert_eq(stat("r.journal", &st), 0);
		if (how == 0)
			cr_assert_eq(truncate("r.journal", st.st_size / 2), 0);
		else if (how == 1)
			cr_assert_eq(truncate("r.journal", 1000), 0);
		else
			damage((size_t)st.st_size / 2, 4096);
		j = NULL;
		cr_expect_eq(journal_open(&j, "r.journal", &resume, &err), NASC_DATA, "%d: %s", how,
			     err.msg);
		cr_expect_eq(strncmp(err.msg, "r.journal: ", 11), 0, "%s", err.msg);
	}
}

/* ---- a limit on the rows ----------------------------------------------------------------- */

Test(journal, drops_the_oldest)
{
	struct journal *j = open_limited(10);

	for (int i = 0; i < 10; i++)
		put(j, i);
	expect_rows(j, 0, 9, 20);
	put(j, 10);
	expect_rows(j, 1, 10, 20);
	put(j, 5); /* again: nothing has to go */
	expect_rows(j, 1, 10, 20);
	for (int i = 11; i < 100; i++)
		put(j, i);
	expect_rows(j, 90, 99, 120);
	journal_close(j);
	j = open_limited(10); /* as after a kill: the run asks for all of them in order */
	for (int i = 0; i < 105; i++)
		if (!has(j, i))
			put(j, i);
	expect_rows(j, 95, 104, 120);
	journal_close(j);
	j = open_limited(3); /* a lower limit */
	expect_rows(j, 102, 104, 120);
	journal_close(j);
	j = open_limited(0);
	for (int i = 0; i < 50; i++)
		put(j, i);
	cr_expect(has(j, 0) && has(j, 49) && has(j, 104));
	journal_close(j);
}

/* What was dropped while a run was resumed is not what it needs next. */
Test(journal, asks_again_only_for_what_was_dropped)
{
	struct journal *j = open_limited(20);
	int asked = 0;

	for (int i = 0; i < 100; i++)
		put(j, i);
	for (int i = 0; i < 100; i++)
		if (!has(j, i)) {
			put(j, i);
			asked++;
		}
	cr_expect_eq(asked, 80);
	journal_close(j);
}

/* 100 rows of a few dozen bytes, and the write-ahead log that SQLite keeps below 1000 pages. */
Test(journal, does_not_grow_beyond_its_limit)
{
	struct journal *j = open_limited(100);
	struct stat st;

	for (int i = 0; i < 20000; i++)
		put(j, i);
	cr_assert_eq(stat("r.journal-wal", &st), 0);
	cr_expect_lt(st.st_size, 5000000);
	journal_close(j);
	cr_assert_eq(stat("r.journal", &st), 0);
	cr_expect_lt(st.st_size, 100000);
	j = open_limited(100);
	expect_rows(j, 19900, 19999, 20010);
	journal_close(j);
}

/* Of two runs that share a journal the later one's rows are kept, wherever they stand. */
Test(journal, rows_of_an_earlier_run_make_room)
{
	struct journal_options o = resume;
	struct journal *j = open_limited(10);

	for (int i = 0; i < 50; i++)
		put(j, i);
	journal_close(j);
	o.rows = 10;
	o.run = "two";
	j = open_journal(&o);
	expect_rows(j, 40, 49, 60); /* until there are others they are of use */
	for (int i = 0; i < 8; i++)
		put(j, i);
	for (int i = 0; i < 8; i++)
		cr_expect(has(j, i), "%d", i);
	journal_close(j);
	j = open_journal(&o);
	for (int i = 0; i < 30; i++)
		if (!has(j, i))
			put(j, i);
	expect_rows(j, 20, 29, 60);
	journal_close(j);
	j = open_limited(10); /* the first one goes on */
	for (int i = 0; i < 10; i++)
		put(j, i);
	expect_rows(j, 0, 9, 60);
	journal_close(j);
}

static struct journal *open_run(const char *run, int64_t rows)
{
	struct journal_options o = resume;

	o.run = run;
	o.rows = rows;
	return open_journal(&o);
}

Test(journal, a_resumed_run_stands_where_it_stood)
{
	struct journal *j = open_run("one", 10);

	for (int i = 0; i < 10; i++)
		put(j, i);
	journal_close(j);
	j = open_run("two", 10);
	for (int i = 50; i < 60; i++)
		put(j, i);
	expect_rows(j, 50, 59, 70);
	journal_close(j);
	j = open_run("two", 10);
	put(j, 10); /* older than all of its own */
	expect_rows(j, 50, 59, 70);
	journal_close(j);
	j = open_run("three", 10);
	put(j, 10);
	cr_expect(has(j, 10) && !has(j, 50) && has(j, 51));
	journal_close(j);
}

/* Three rows of each of two runs, in which the later ones have the lower places. */
Test(journal, the_earliest_run_makes_room_first)
{
	struct journal *j = open_run("one", 6);

	for (int i = 20; i < 23; i++)
		put(j, i);
	journal_close(j);
	j = open_run("two", 6);
	for (int i = 10; i < 13; i++)
		put(j, i);
	journal_close(j);
	j = open_run("three", 6);
	for (int i = 0; i < 6; i++) {
		put(j, i);
		for (int k = 0; k < 3; k++) {
			cr_expect_eq(has(j, 20 + k), k > i, "one: %d after %d", k, i);
			cr_expect_eq(has(j, 10 + k), 3 + k > i, "two: %d after %d", k, i);
		}
	}
	expect_rows(j, 0, 5, 30);
	journal_close(j);
}

/* Runs had no base, and rows of earlier ones the place -1. */
Test(journal, goes_on_with_one_of_an_earlier_program)
{
	static const char *const runs[] = { "one", "two" };

	for (int i = 0; i < 2; i++) {
		struct journal *j = open_run("one", 0);

		for (int k = 10; k < 20; k++)
			put(j, k);
		journal_close(j);
		run_sql("DELETE FROM meta WHERE key = 'base';"
			"UPDATE evaluation SET place = -1 WHERE place < 15");
		j = open_run(runs[i], 10);
		for (int k = 0; k < 5; k++)
			put(j, k);
		for (int k = 0; k < 20; k++)
			cr_expect_eq(has(j, k), k < 5 || k >= 15, "run %s: row %d", runs[i], k);
		put(j, 5); /* the oldest is now 0 of the same run, or 15 of an earlier one */
		cr_expect_eq(has(j, 0), i == 1, "run %s", runs[i]);
		cr_expect_eq(has(j, 15), i == 0, "run %s", runs[i]);
		journal_close(j);
		unlink("r.journal");
	}
}

/* What the first write takes is all that the write-ahead log holds. */
Test(journal, another_run_leaves_the_rows_alone)
{
	struct journal *j = open_run("one", 0);
	struct stat st;

	for (int i = 0; i < 20000; i++)
		put(j, i);
	journal_close(j);
	cr_assert_eq(stat("r.journal", &st), 0);
	cr_expect_gt(st.st_size, 500000);
	j = open_run("two", 0);
	cr_assert_eq(stat("r.journal-wal", &st), 0);
	cr_expect_lt(st.st_size, 50000);
	cr_expect(has(j, 0) && has(j, 19999));
	journal_close(j);
}

/* ---- another process meddles ---------------------------------------------------------------- */

Test(journal, knows_whether_it_is_in_its_place)
{
	struct nasc_err err = { 0 };
	struct journal *j = open_journal(&fresh), *k;

	put(j, 1);
	cr_expect_eq(journal_in_place(j, &err), NASC_OK, "%s", err.msg);
	cr_assert_eq(rename("r.journal", "moved.journal"), 0);
	cr_expect_eq(journal_in_place(j, &err), NASC_OK, "%s", err.msg); /* nobody else's */
	put(j, 2);
	write_file("r.journal", "");
	cr_expect_eq(journal_in_place(j, &err), NASC_FAIL);
	cr_expect_str_eq(err.msg,
			 "r.journal: another file has taken its place while the run went on; no "
			 "results are written, as they may be another run's; give another --out");
	cr_assert_eq(rename("moved.journal", "r.journal"), 0);
	err = (struct nasc_err){ 0 };
	cr_expect_eq(journal_in_place(j, &err), NASC_OK, "%s", err.msg);
	journal_close(j);
	k = open_journal(&resume);
	cr_expect(has(k, 1) && has(k, 2));
	journal_close(k);
}

/* ---- a full disk --------------------------------------------------------------------------- */

/* In a process of its own, where a limit on the size of files stands for the end of the disk:
 * rows that could be put before it was full; its exit code is the status, and the message must
 * name the journal, the reason and the remedy. */
static int fill(rlim_t bytes, int *rows)
{
	static const char want[] =
		"r.journal: cannot write: File too large; raise the limit on the "
		"size of files (ulimit -f), then try again";
	int status, result[2];
	pid_t pid;

	cr_assert_eq(pipe(result), 0);
	pid = fork();
	if (pid == 0) {
		struct nasc_err err = { 0 };
		struct journal *j;
		enum nasc_status st;
		int n = 0;

		signal(SIGXFSZ, SIG_IGN);
		setrlimit(RLIMIT_FSIZE, &(struct rlimit){ bytes, bytes });
		st = journal_open(&j, "r.journal", &resume, &err);
		while (!st && n < 100000) {
			st = try_put(j, n, &err);
			n += !st;
		}
		if (write(result[1], &n, sizeof n) != (ssize_t)sizeof n)
			_exit(99);
		if (strcmp(err.msg, want) != 0)
			fprintf(stderr, "# %s\n", err.msg);
		_exit(strcmp(err.msg, want) != 0 ? 98 : (int)st);
	}
	cr_assert_eq(read(result[0], rows, sizeof *rows), (ssize_t)sizeof *rows);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	close(result[0]);
	close(result[1]);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 100 + WTERMSIG(status);
}

Test(journal, full_disk_loses_nothing, .timeout = 60)
{
	static const rlim_t limits[] = { 0,	1000,  4096,  8192,   20000,
					 40000, 60000, 90000, 200000, 1000000 };
	bool none = false, some = false;

	for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
		struct journal *j;
		int rows;

		cr_expect_eq(fill(limits[i], &rows), NASC_FAIL, "limit %lu",
			     (unsigned long)limits[i]);
		if (rows == 0 && access("r.journal", F_OK)) {
			none = true; /* it could not be begun, and nothing of it is in the way */
			cr_expect(access("r.journal-wal", F_OK), "limit %lu",
				  (unsigned long)limits[i]);
			continue;
		}
		some |= rows > 0;
		j = open_journal(&resume);
		for (int k = 0; k < rows; k++)
			cr_expect(has(j, k), "limit %lu: row %d of %d", (unsigned long)limits[i], k,
				  rows);
		put(j, 100000);
		journal_close(j);
		unlink("r.journal");
	}
	cr_expect(none && some);
}
