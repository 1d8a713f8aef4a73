#define _XOPEN_SOURCE 700 /* nftw() */
#include "external_fixture.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <sys/stat.h>

#include "json.h"

TestSuite(external, .fini = no_leaks);

/* ---- answers --------------------------------------------------------------------- */

Test(external, metrics)
{
	const struct evaluator_ops *ops = evaluator_find("external");

	cr_assert_eq(ops->n_metrics, 2);
	cr_assert(!strcmp(ops->metric[0].key, "accuracy") && ops->metric[0].maximise);
	cr_assert(!strcmp(ops->metric[1].key, "error") && !ops->metric[1].maximise);
	cr_assert_null(evaluator_find("nonesuch"));
}

Test(external, accuracy_or_error)
{
	struct bench b;
	struct eval_result r;

	start(&b,
	      EACH "if [ $id = 1 ]; then " ANSWER(
		      "\\\"accuracy\\\":0.25, \\\"seconds\\\":3") "; else " ANSWER("\\\"error\\\":"
										   "0.125") "; "
											    "f"
											    "i" DONE,
	      10);
	cr_assert_eq(ask(&b, 1, &r), EVAL_OK, "%s", r.why);
	cr_assert(r.value[0] == 0.25 && r.value[1] == 0.75);
	cr_assert_eq(ask(&b, 2, &r), EVAL_OK, "%s", r.why);
	cr_assert(r.value[0] == 0.875 && r.value[1] == 0.125);
	stop(&b);
}

/* The count goes on from candidate to candidate: one process answers them all. */
Test(external, process_is_kept)
{
	struct bench b;
	struct eval_result r;

	start(&b, EACH ANSWER("\\\"accuracy\\\":0.00$n") DONE, 10);
	for (unsigned i = 1; i < 9; i++) {
		cr_assert_eq(ask(&b, 100 + i, &r), EVAL_OK, "%s", r.why);
		cr_assert_float_eq(r.value[0], i / 1000.0, 1e-12);
	}
	/* Nobody to cancel it. */
	cr_assert_eq(b.e.ops->run(&b.e, b.worker,
				  &(struct eval_request){ .id = 200, .seed = 42, .net = &b.net },
				  &r),
		     EVAL_OK, "%s", r.why);
	cr_assert_float_eq(r.value[0], 0.009, 1e-12);
	stop(&b);
}

Test(external, request)
{
	char path[] = "/tmp/nasc-external-XXXXXX", script[512], line[8192];
	struct nasc_err err = { 0 };
	struct network read;
	struct eval_result r;
	struct bench b;
	cJSON *json;
	FILE *fp = fdopen(mkstemp(path), "r");

	snprintf(script, sizeof script, "%sprintf '%%s\\n' \"$line\" >%s; %s", EACH, path,
		 GOOD DONE);
	start(&b, script, 10);
	cr_assert_eq(ask(&b, 7, &r), EVAL_OK, "%s", r.why);
	cr_assert(fgets(line, sizeof line, fp));
	cr_assert_eq(fgetc(fp), EOF, "more than one line");
	unlink(path);
	cr_assert_eq(json_parse("line", line, strlen(line), &json, &err), NASC_OK, "%s", err.msg);
	cr_assert_str_eq(cJSON_GetArrayItem(json, 0)->string, "id");
	cr_assert_eq(cJSON_GetObjectItem(json, "id")->valuedouble, 7);
	cr_assert_eq(cJSON_GetObjectItem(json, "budget")->valuedouble, 1.5);
	cr_assert_eq(cJSON_GetObjectItem(json, "seed")->valuedouble, 42);
	cr_assert_eq(cJSON_GetArraySize(json), 4);
	cr_assert_eq(network_from_json(cJSON_GetObjectItem(json, "network"), &b.arena, &read, &err),
		     NASC_OK, "%s", err.msg);
	cr_assert(network_equal(&read, &b.net));
	cJSON_Delete(json);
	stop(&b);
	fclose(fp);
}

Test(external, slow_start)
{
	struct bench b;
	struct eval_result r;

	start(&b, "sleep 0.6; " EACH GOOD DONE, 10);
	cr_assert_eq(ask(&b, 1, &r), EVAL_OK, "%s", r.why);
	stop(&b);
}

/* 300 kB on standard error, which nobody reads unless the evaluator does. */
Test(external, much_standard_error)
{
	struct bench b;
	struct eval_result r;

	start(&b, EACH "head -c 300000 /dev/zero | tr '\\000' '\\n' >&2; " GOOD DONE, 10);
	for (unsigned i = 0; i < 3; i++)
		cr_assert_eq(ask(&b, i, &r), EVAL_OK, "%s", r.why);
	stop(&b);
}

/* ---- failures ------------------------------------------------------------------------ */

static const struct fault {
	const char *what, *script, *want;
} faults[] = {
	{ "hangs", WRONG("sleep 100"), "no answer within 1 s" },
	{ "hangs deaf to SIGTERM", "trap '' TERM; " WRONG("sleep 100"), "no answer within 1 s" },
	{ "spams standard error", WRONG("yes >&2"), "no answer within 1 s" },
	{ "exits", WRONG("exit 3"), "the program exited with status 3 without an answer" },
	{ "exits with a reason", WRONG("printf 'Traceback\\nImportError: torch\\n\\n' >&2; exit 1"),
	  "exited with status 1 without an answer: ImportError: torch" },
	{ "exits, a child keeps the pipe", WRONG("sleep 100 & exit 4"), "exited with status 4" },
	{ "exits half way", WRONG("printf '{\"id\":1,'; exit 5"), "exited with status 5" },
	{ "crashes", WRONG("kill -SEGV $$"), "the program was killed by signal 11" },
	{ "closes its output", WRONG("exec >&-; sleep 100"),
	  "closed its output without an answer" },
	{ "garbage", WRONG("echo Epoch 1 of 5"), "answer:1:1: not valid JSON" },
	{ "empty line", WRONG("echo"), "not JSON" },
	{ "NUL bytes", WRONG("printf '{\"id\":1\\000}\\n'"), "a NUL byte" },
	{ "huge line", WRONG("head -c 2000000 /dev/zero | tr '\\000' x; echo"),
	  "answer: more than 1048576 bytes without a newline" },
	{ "two lines", WRONG("printf '{\"id\":1,\"accuracy\":1}\\n{}\\n'"),
	  "answer: more than one line" },
	{ "list", WRONG("echo '[1]'"), "answer: not a JSON object" },
	{ "no id", WRONG("echo '{\"accuracy\":0.9}'"), "answer: id: is missing" },
	{ "wrong id", WRONG("echo '{\"id\":2,\"accuracy\":0.9}'"), "answer: id 2, must be 1" },
	{ "no figure", WRONG("echo '{\"id\":1}'"),
	  "must have one of 'accuracy', 'error' and 'failure'" },
	{ "two figures", WRONG("echo '{\"id\":1,\"accuracy\":0.5,\"error\":0.5}'"),
	  "must have one of 'accuracy', 'error' and 'failure'" },
	{ "NaN", WRONG("echo '{\"id\":1,\"accuracy\":NaN}'"), "not valid JSON" },
	{ "null", WRONG("echo '{\"id\":1,\"accuracy\":null}'"), "answer: accuracy: is null" },
	{ "infinite", WRONG("echo '{\"id\":1,\"error\":1e999}'"), "answer: error: " },
	{ "per cent", WRONG("echo '{\"id\":1,\"accuracy\":91.5}'"),
	  "answer: accuracy: 91.5 is outside [0, 1]" },
	{ "negative", WRONG("echo '{\"id\":1,\"error\":-0.1}'"),
	  "answer: error: -0.1 is outside [0, 1]" },
	{ "text", WRONG("echo '{\"id\":1,\"accuracy\":\"0.9\"}'"),
	  "answer: accuracy: is a string" },
	{ "reports", WRONG("echo '{\"id\":1,\"failure\":\"out of \\u001bmemory\"}'"),
	  "the program reports: out of  memory" },
	{ "reports a number", WRONG("echo '{\"id\":1,\"failure\":3}'"),
	  "answer: failure: is a number" },
};

/* Each fails its candidate alone; the next is answered well, as are those before. */
Test(external, faults, .timeout = 120)
{
	for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
		const struct fault *f = &faults[i];
		struct eval_result r;
		struct bench b;

		start(&b, f->script, 1);
		for (int round = 0; round < 2; round++) {
			cr_assert_eq(ask(&b, 1, &r), EVAL_FAILED, "%s", f->what);
			cr_assert(strstr(r.why, f->want), "%s: '%s', not '%s'", f->what, r.why,
				  f->want);
			cr_assert_eq(ask(&b, 2, &r), EVAL_OK, "%s: then: %s", f->what, r.why);
			cr_assert_eq(r.value[0], 0.25, "%s", f->what);
		}
		stop(&b);
	}
}

/* As WRONG(), but the others write to standard error too. */
#define NOISY(commands)                                                                            \
	EACH "if [ $id = 1 ]; then " commands "; else echo of $id >&2; " GOOD "; fi" DONE

/* The reason is the candidate's own and whole, whatever the process has written to standard error
 * for those before it: else it would depend on how the candidates fell to the workers. */
Test(external, reason_quotes_what_is_its_own, .timeout = 120)
{
	static const struct fault own[] = {
		{ "two lines", NOISY("printf '\\n\\n'"),
		  "answer: more than one line, or before the request was read" },
		{ "huge line", NOISY("head -c 2000000 /dev/zero | tr '\\000' x"),
		  "answer: more than 1048576 bytes without a newline" },
		{ "hangs", NOISY("echo $n >&2; sleep 100"), "no answer within 2 s" },
		{ "half an answer", NOISY("printf '{'; exit 5"),
		  "the program exited with status 5 without an answer" },
		{ "silence", NOISY("exit 6"),
		  "the program exited with status 6 without an answer" },
		{ "a child has the last word", NOISY("{ sleep 0.4; echo late >&2; } >&- & exit 7"),
		  "the program exited with status 7 without an answer: late" },
		{ "a child has no last word", NOISY("yes >&2 & exit 8"),
		  "the program exited with status 8 without an answer" },
	};

	for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
		struct eval_result r;
		struct bench b;

		start(&b, own[i].script, 2);
		cr_assert_eq(ask(&b, 2, &r), EVAL_OK, "%s: %s", own[i].what, r.why);
		nanosleep(&(struct timespec){ .tv_nsec = 50000000 }, NULL);
		cr_assert_eq(ask(&b, 1, &r), EVAL_FAILED, "%s", own[i].what);
		cr_assert_str_eq(r.why, own[i].want, "%s: '%s'", own[i].what, r.why);
		stop(&b);
	}
}

/* A report of failure is an answer: the process goes on, but not behind garbage. */
Test(external, reported_failure_keeps_the_process)
{
	struct bench b;
	struct eval_result r;

	start(&b,
	      EACH "case $n in 2) echo '{\"id\":2,\"failure\":\"no memory\"}';; 4) echo x;; "
		   "*) " ANSWER("\\\"accuracy\\\":0.$n") ";; esac" DONE,
	      10);
	cr_assert_eq(ask(&b, 1, &r), EVAL_OK, "%s", r.why);
	cr_assert_eq(ask(&b, 2, &r), EVAL_FAILED);
	cr_assert_str_eq(r.why, "the program reports: no memory");
	cr_assert_eq(ask(&b, 3, &r), EVAL_OK, "%s", r.why);
	cr_assert_eq(r.value[0], 0.3);
	cr_assert_eq(ask(&b, 4, &r), EVAL_FAILED);
	cr_assert_eq(ask(&b, 5, &r), EVAL_OK, "%s", r.why);
	cr_assert_eq(r.value[0], 0.1);
	stop(&b);
}

/* One answer a process is a way to write such a program, and no fault. */
Test(external, one_answer_a_process)
{
	struct bench b;
	struct eval_result r;

	start(&b, "IFS= read -r line; id=${line#*:}; id=${id%%,*}; " GOOD, 10);
	for (unsigned i = 0; i < 30; i++)
		cr_assert_eq(ask(&b, i, &r), EVAL_OK, "%u: %s", i, r.why);
	stop(&b);
}

/* What it says unasked does not become the next candidate's answer. */
Test(external, late_line_is_dropped)
{
	struct bench b;
	struct eval_result r;

	start(&b, EACH GOOD "; sleep 0.1; echo '{\"id\":2,\"accuracy\":1}'" DONE, 10);
	cr_assert_eq(ask(&b, 1, &r), EVAL_OK, "%s", r.why);
	nanosleep(&(struct timespec){ .tv_nsec = 400000000 }, NULL);
	cr_assert_eq(ask(&b, 2, &r), EVAL_OK, "%s", r.why);
	cr_assert_eq(r.value[0], 0.25);
	stop(&b);
}

/* ---- opening ----------------------------------------------------------------------------- */

static enum nasc_status open_command(const char *name, struct nasc_err *err)
{
	struct arena a = { 0 };
	struct config cfg = { .command = { name ? 1 : 0, &name }, .timeout = 1 };
	struct evaluator e = { .ops = evaluator_find("external"), .cfg = &cfg, .arena = &a };
	struct nasc_err checked = { 0 };
	enum nasc_status status = e.ops->open(&e, err);

	cr_assert_eq(e.ops->check(&cfg, &checked), status); /* without an evaluator */
	cr_assert(!status || !strcmp(checked.msg, err->msg), "%s", checked.msg);
	arena_free(&a);
	return status;
}

Test(external, command_is_checked)
{
	char path[] = "/tmp/nasc-external-XXXXXX";
	struct nasc_err err = { 0 };

	close(mkstemp(path));
	cr_assert_eq(open_command("sh", &err), NASC_OK);
	cr_assert_eq(open_command(NULL, &err), NASC_CONFIG);
	cr_assert_eq(open_command("", &err), NASC_CONFIG);
	cr_assert(strstr(err.msg, "command: empty"), "%s", err.msg);
	cr_assert_eq(open_command("no-such-program-of-ours", &err), NASC_CONFIG);
	cr_assert(strstr(err.msg, "command: no program 'no-such-program-of-ours'"), "%s", err.msg);
	cr_assert_eq(open_command("./no/such/program", &err), NASC_CONFIG);
	cr_assert_eq(open_command("/tmp", &err), NASC_CONFIG);
	cr_assert_eq(open_command(path, &err), NASC_CONFIG, "no permission to run it");
	cr_assert_eq(chmod(path, 0700), 0);
	cr_assert_eq(open_command(path, &err), NASC_OK, "%s", err.msg);
	cr_assert_eq(open_command("sh", &err), NASC_OK, "%s", err.msg);
	unlink(path);
}

static enum nasc_status load_keys(const char *text, struct arena *a, struct config *cfg,
				  struct nasc_err *err)
{
	struct yaml_doc doc;

	cr_assert_eq(yaml_parse("t.yaml", text, strlen(text), a, &doc, err), NASC_OK, "%s",
		     err->msg);
	return cfg_load(evaluator_find("external")->fields, &doc, doc.root, NULL, a, cfg,
			sizeof *cfg, err);
}

Test(external, keys)
{
	struct nasc_err err = { 0 };
	struct arena a = { 0 };
	struct config cfg;

	cr_assert_eq(load_keys("command: [python3, train.py]\n", &a, &cfg, &err), NASC_OK, "%s",
		     err.msg);
	cr_assert(cfg.command.n == 2 && cfg.timeout == 600 && cfg.budget == 1);
	cr_assert_str_eq(cfg.command.v[1], "train.py");
	cr_assert_eq(load_keys("{command: [x], timeout: 2 h, budget: 0.5}", &a, &cfg, &err),
		     NASC_OK, "%s", err.msg);
	cr_assert(cfg.timeout == 7200 && cfg.budget == 0.5);
	cr_assert_eq(load_keys("{timeout: 2 h}", &a, &cfg, &err), NASC_CONFIG);
	cr_assert_eq(load_keys("{command: [x], timeout: 0}", &a, &cfg, &err), NASC_CONFIG);
	arena_free(&a);
}

/* ---- the worked example -------------------------------------------------------------------- */

/* It counts parameters and MACs from the JSON on its own; here they come from
 * network.h and go through the formula that it states. */
Test(external, example)
{
	const char *source = getenv("NASC_SOURCE");
	char path[4096];
	struct nasc_err err = { 0 };
	struct eval_result r;
	struct bench b = { 0 };
	uint32_t at, both[2];
	double params, macs, want;

	if (!source)
		cr_skip("NASC_SOURCE does not say where configs/ is");
	if (system("python3 -c 'import json' >/dev/null 2>&1"))
		cr_skip("no python3");
	snprintf(path, sizeof path, "%s/configs/external_example.py", source);
	b.argv[0] = "python3";
	b.argv[1] = path;
	b.cfg.command = (struct cfg_strings){ 2, b.argv };
	start_command(&b, 30);
	network_init(&b.net, &b.arena, (struct net_shape){ 31, 29, 3 });
	at = network_conv2d(&b.net, 0, 8, 3, 2, 1, NET_SAME, false);
	at = network_unary(&b.net, NET_BATCH_NORM, at);
	at = network_unary(&b.net, NET_RELU6, at);
	both[0] = network_depthwise(&b.net, at, 5, 1, NET_SAME, true);
	both[1] = at;
	both[1] = network_merge(&b.net, NET_ADD, both, 2);
	at = network_merge(&b.net, NET_CONCAT, both, 2);
	at = network_pool(&b.net, NET_MAX_POOL, at, 3, 2, NET_VALID);
	at = network_pad(&b.net, at, 1, 0, 2, 3);
	at = network_conv2d(&b.net, at, 24, 3, 1, 4, NET_EXPLICIT, true);
	b.net.op[at].pad_left = 1;
	at = network_pool(&b.net, NET_AVG_POOL, at, 2, 2, NET_SAME);
	at = network_dense(&b.net, at, 12, false);
	at = network_dense(&b.net, at, 5, true);
	network_unary(&b.net, NET_SOFTMAX, at);
	cr_assert_eq(network_infer(&b.net, &err), NASC_OK, "%s", err.msg);
	params = (double)network_params(&b.net);
	macs = (double)network_macs(&b.net);
	want = 0.2 + (0.97 - 0.2) * (1 - exp(-sqrt(params / 5e3))) * (1 - exp(-sqrt(macs / 2e5))) *
			     (1 - 0.3 * exp(-1.5));
	for (unsigned i = 3; i < 5; i++) {
		cr_assert_eq(ask(&b, i, &r), EVAL_OK, "%s", r.why);
		cr_assert_float_eq(r.value[0], want, 1e-12, "%.17g", r.value[0]);
	}
	stop(&b);
}
