#define _XOPEN_SOURCE 700 /* nftw() */
#include <cjson/cJSON.h>
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"
#include "json.h"
#include "scratch.h"
#include "study.h"

TestSuite(config, .init = begin, .fini = finish);

#define SPACE "space: {type: densenet}\n"
#define GOOD  SPACE "objectives: [params, sram]\ntargets: [stm32f746]\n"
#define TRAIN "data: {directory: d}\nevaluator: {type: train"

static const struct {
	const char *yaml, *want; /* want: the whole message */
} faults[] = {
	{ "version: 2\n" SPACE, "c.yaml:1: version: 2 is outside [1, 1]" },
	{ "sede: 1\n" SPACE, "c.yaml:1: unknown key 'sede'; did you mean 'seed'?" },
	{ "seed: -1\n" SPACE, "c.yaml:1: seed: -1 is outside [0, 18446744073709551615]" },
	{ "seed: 1\nseed: 2\n" SPACE, "c.yaml:2: key 'seed' is given twice, first in line 1" },
	{ "fit_targets: maybe\n" SPACE,
	  "c.yaml:1: fit_targets: 'maybe' is neither true nor false" },
	{ "targets: {a: 1}\n" SPACE, "c.yaml:1: targets: holds keys; a value or a list is right" },
	{ "seed: 1\n",
	  "c.yaml: no 'space' to search in: add space: {type: densenet} (or a 'problem')" },
	{ SPACE "problem: {type: zdt1}\n", "c.yaml: has both 'space' and 'problem': keep one" },
	{ "space: densenet\n", "c.yaml:1: space: expected a map of keys" },
	{ "seed: 1\nspace:\n  blocks: 2\n",
	  "c.yaml:3: space: 'type' is missing, known are densenet, mobilenet, nb201" },
	{ "space:\n  type: resnet\n",
	  "c.yaml:2: space: unknown type 'resnet', known are densenet, mobilenet, nb201" },
	{ "space:\n  type: [densenet]\n",
	  "c.yaml:2: space: 'type' must be one name, known are densenet, mobilenet, nb201" },
	{ "space:\n  type: densenet\n  layers: [8, 2]\n",
	  "c.yaml:3: layers: [8, 2] is empty; the lower end comes first" },
	{ "space:\n  type: densenet\n  kernels: [1, 3]\n",
	  "c.yaml:3: unknown key 'kernels'; did you mean 'kernel'?" },
	{ "problem:\n  type: zdt9\n",
	  "c.yaml:2: problem: unknown type 'zdt9', known are bnh, c2dtlz2, chain, constr, "
	  "dtlz1, dtlz2, elli1, ihr1, lotz, osy, srn, tnk, uf1, uf2, zdt1, zdt2, zdt3, zdt4, "
	  "zdt5, zdt6" },
	{ "problem:\n  type: zdt1\n  variables: -1\n",
	  "c.yaml:3: variables: -1 is outside [0, 100000] variables" },
	{ "problem: {type: zdt1}\nobjectives: [params]\n",
	  "c.yaml:2: objectives: belongs to a space, a problem has its own" },
	{ "problem: {type: zdt1}\nconstraints: {params: \"<= 1\"}\n",
	  "c.yaml:2: constraints: belongs to a space, a problem has its own" },
	{ "problem: {type: zdt1}\nreference: {f1: 2}\n",
	  "c.yaml:2: reference: belongs to a space, a problem has its own" },
	{ SPACE "evaluator: {type: external}\n",
	  "c.yaml:2: key 'command' is missing: program and its arguments, run without a shell: "
	  "[python3, train.py]" },
	{ SPACE "evaluator:\n  type: external\n  command: [a]\n  timeout: 10 KiB\n",
	  "c.yaml:5: timeout: '10 KiB' is not a time; use ns, us, ms, s, min or h" },
	{ SPACE "evaluator: {type: train}\n",
	  "c.yaml:2: evaluator: 'train' needs images: give 'data' a format and directory" },
	{ SPACE "data: {format: png, directory: x}\n",
	  "c.yaml:2: format: 'png' is not one of idx, cifar10, npy" },
	{ SPACE "data: {format: idx}\n", "c.yaml:2: key 'directory' is missing: directory of the "
					 "files, plain or .gz, under their published names" },
	{ SPACE "data: {directory: x}\ninput: {height: 3}\n",
	  "c.yaml:3: input: 'data' already gives the shape" },
	{ SPACE "input: {height: 0}\n", "c.yaml:2: height: 0 is outside [1, 4096] pixels" },
	{ SPACE "input: 28\n", "c.yaml:2: input: expected a map of keys" },
	{ SPACE "strategy: {type: tabu}\n",
	  "c.yaml:2: strategy: unknown type 'tabu', known are nsga2, nsga3, sms_emoa, amosa, "
	  "regularized_evolution, random" },
	{ SPACE "strategy: {type: nsga2, population: 3}\n",
	  "c.yaml:2: population: 3 is outside [4, 1000000] individuals" },
	{ SPACE "strategy: {type: nsga2, popluation: 30}\n",
	  "c.yaml:2: unknown key 'popluation'; did you mean 'population'?" },
	{ SPACE "stop: {evaluations: many}\n",
	  "c.yaml:2: evaluations: 'many' is not a whole number" },
	{ SPACE "stop: {time: 3 h}\n", "c.yaml:2: unknown key 'time'; did you mean 'time_s'?" },
	{ SPACE "train: {epochs: 0}\n", "c.yaml:2: epochs: 0 is outside [1, 10000] epochs" },
	{ SPACE "constraints: [params]\n", "c.yaml:2: constraints: expected a map of keys" },
	{ SPACE "reference: 1\n", "c.yaml:2: reference: expected a map of keys" },
};

Test(config, every_section_says_file_line_key)
{
	for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
		struct study_config c;
		struct nasc_err err = { 0 };

		write_file("c.yaml", faults[i].yaml);
		cr_expect_eq(config_load("c.yaml", NULL, 0, &arena, &c, &err), NASC_CONFIG, "%s",
			     faults[i].yaml);
		cr_expect_str_eq(err.msg, faults[i].want, "%s%s\n", faults[i].yaml, err.msg);
	}
}

static const struct {
	const char *yaml, *want;
} misfits[] = {
	{ SPACE, "c.yaml: objectives: none given, expected 1 to 8 names" },
	{ SPACE "objectives: [params, params]\n", "c.yaml:2: objectives: 'params' given twice" },
	{ SPACE "objectives: [min params, max params]\n",
	  "c.yaml:2: objectives: 'max params' given twice" },
	{ SPACE "objectives: [sram]\n", "c.yaml:2: objectives: no figure is called 'sram'; this "
					"config has params, macs, weights" },
	{ SPACE "objectives: [a, b, c, d, e, f, g, h, i]\n",
	  "c.yaml:2: objectives: 9 of them, at most 8" },
	{ SPACE "objectives: [energy]\ntargets: [stm32f746]\n",
	  "c.yaml:2: objectives: the target's file has no numbers for 'energy'" },
	{ SPACE "objectives: [params]\ntargets: [stm32f7]\n",
	  "c.yaml:3: targets: unknown target 'stm32f7', did you mean 'stm32f746'?" },
	{ SPACE "objectives: [params]\ntargets: [rp2040, rp2040]\n",
	  "c.yaml:3: targets: 'rp2040' given twice" },
	{ SPACE "objectives: [params]\ntargets: [a, b, c, d, e]\n",
	  "c.yaml:3: targets: 5 of them, at most 4 are costed" },
	{ GOOD "constraints:\n  ram: \"<= 1\"\n",
	  "c.yaml:5: constraints: no figure is called 'ram'; this config has params, macs, "
	  "weights, sram, flash, latency, energy" },
	{ GOOD "constraints:\n  sram: 256 KiB\n",
	  "c.yaml:5: constraints: sram: expected \"<= value\" or \">= value\", got '256 KiB'" },
	{ GOOD "constraints:\n  sram: \"< 256 KiB\"\n",
	  "c.yaml:5: constraints: sram: expected \"<= value\" or \">= value\", got '< 256 KiB'" },
	{ GOOD "constraints:\n  sram: \"<= 256 ms\"\n",
	  "c.yaml:5: constraints: sram: '256 ms' is not a size; use B, kB, MB, GB (1000) or KiB, "
	  "MiB, GiB (1024)" },
	{ GOOD "constraints:\n  sram: \"<=\"\n",
	  "c.yaml:5: constraints: sram: '' is not a size; use a number with B, kB, MB, GB (1000) "
	  "or KiB, MiB, GiB (1024)" },
	{ GOOD "constraints:\n  sram: {max: 1}\n",
	  "c.yaml:5: constraints: sram: expected \"<= value\" or \">= value\"" },
	{ GOOD "constraints:\n  sram: [\"<= 1\", 2]\n",
	  "c.yaml:5: constraints: sram: expected \"<= value\" or \">= value\", got '2'" },
	{ GOOD "reference: {flash: 1 MiB}\n", "c.yaml:4: reference: 'flash' is no objective" },
	{ GOOD "reference: {sram: [1]}\n", "c.yaml:4: reference: sram: expected one value" },
	{ GOOD "reference: {sram: 1 s}\n", "c.yaml:4: reference: sram: '1 s' is not a size; use B, "
					   "kB, MB, GB (1000) or KiB, MiB, GiB (1024)" },
	{ GOOD "reference: {sarm: 1}\n",
	  "c.yaml:4: reference: no figure is called 'sarm'; this config has params, macs, weights, "
	  "sram, flash, latency, energy" },
	{ GOOD "data: {directory: missing}\n",
	  "c.yaml:4: data: missing: cannot open data directory: No such file or directory" },
	{ SPACE "objectives: [error, min error_flips]\n" TRAIN "}\n",
	  "c.yaml:2: objectives: evaluator 'train' measures 'error_flips' only with flips above "
	  "0" },
	{ GOOD TRAIN ", flips: 0.1, noise: 0}\nconstraints:\n  error_noise: \"<= 0.2\"\n",
	  "c.yaml:7: constraints: evaluator 'train' measures 'error_noise' only with noise above "
	  "0" },
	{ GOOD TRAIN "}\ngoal: {error_noise: \"<= 0.2\"}\n",
	  "c.yaml:6: goal: evaluator 'train' measures 'error_noise' only with noise above 0" },
	{ GOOD TRAIN ", noise: 0.1}\nreference: {error_flips: 0.2}\n",
	  "c.yaml:6: reference: evaluator 'train' measures 'error_flips' only with flips above 0" },
	{ SPACE "objectives: [ensemble, macs_proxy]\ndata: {directory: d}\n"
		"evaluator: {type: ensemble, members: [params, swap]}\n",
	  "c.yaml:2: objectives: evaluator 'ensemble' measures 'macs_proxy' only with macs among "
	  "its members" },
	{ GOOD "evaluator: {type: external, command: [no-such-program]}\n",
	  "c.yaml:4: evaluator: command: no program 'no-such-program' that can be run in any "
	  "directory of PATH" },
	{ "problem: {type: zdt1, variables: 1}\n",
	  "c.yaml:1: problem: 1 variables are too few, zdt1 has at least 2" },
	{ "problem: {type: zdt1, objectives: 3}\n",
	  "c.yaml:1: problem: zdt1 has 2 to 2 objectives, not 3" },
};

Test(config, parts_are_checked_against_each_other)
{
	const char *targets = source("configs/targets");

	for (size_t i = 0; i < sizeof misfits / sizeof *misfits; i++) {
		struct study_config c;
		struct study s;
		struct nasc_err err = { 0 };

		write_file("c.yaml", misfits[i].yaml);
		cr_assert_eq(config_load("c.yaml", NULL, 0, &arena, &c, &err), NASC_OK, "%s",
			     err.msg);
		cr_expect_neq(study_open(&s, &c, targets, true, &arena, &err), NASC_OK, "%s",
			      misfits[i].yaml);
		study_close(&s);
		cr_expect_str_eq(err.msg, misfits[i].want, "%s%s\n", misfits[i].yaml, err.msg);
	}
}

static char *written(const struct study_config *c, enum config_extent extent)
{
	char *text = NULL, *copy;
	size_t n = 0;
	FILE *fp = open_memstream(&text, &n);
	struct json_writer w;

	json_init(&w, fp, false);
	config_write(c, &w, NULL, extent);
	fclose(fp);
	copy = arena_strdup(&arena, text);
	free(text);
	return copy;
}

static const char *const good[] = {
	SPACE,
	GOOD "seed: 18446744073709551615\n",
	GOOD "seed: 9007199254740993\n",
	"seed: 3\nspace:\n  type: densenet\n  blocks: 2\n  layers: [2, 5]\n  growth: 7\n"
	"  kernel: [5, 1]\n  resolution: [16, 32]\nobjectives: max params\n"
	"constraints:\n  params: [\"<= 60 k\", '>= 1e3']\n  macs: \"<= 1 M\"\n"
	"reference: {params: 0.1}\nstop: {evaluations: 5, time_s: 90 min}\n",
	SPACE "evaluator:\n  type: external\n"
	      "  command: [sh, -c, \"a: [b] # {'c'}\\t\\\"d\\\" \\\\ \\u00e9\\u20ac\"]\n"
	      "  timeout: 350 ms\n  budget: 0.1\ndata: {directory: \"~/a b/\", format: cifar10}\n"
	      "train: {epochs: 3}\nfit_targets: false\n",
	("problem: {type: dtlz2, objectives: 3, variables: 12, reference: 2.5}\n"
	 "strategy: {type: random, batch: 9}\n"),
};

static void round_trip(const struct study_config *c)
{
	char *text = written(c, CONFIG_WHOLE);
	struct study_config back;
	struct nasc_err err = { 0 };
	cJSON *tree;

	cr_assert_eq(json_parse("r.json", text, strlen(text), &tree, &err), NASC_OK, "%s\n%s",
		     err.msg, text);
	cr_assert_eq(config_from_json("r.json", tree, NULL, 0, &arena, &back, &err), NASC_OK,
		     "%s\n%s", err.msg, text);
	cJSON_Delete(tree);
	cr_expect_str_eq(written(&back, CONFIG_WHOLE), text);
	cr_expect_str_eq(written(&back, CONFIG_SCORES), written(c, CONFIG_SCORES));
}

Test(config, resolved_loads_back_to_itself)
{
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		struct study_config c;
		struct nasc_err err = { 0 };

		write_file("c.yaml", good[i]);
		cr_assert_eq(config_load("c.yaml", NULL, 0, &arena, &c, &err), NASC_OK, "%s: %s",
			     good[i], err.msg);
		round_trip(&c);
	}
}

Test(config, seed_keeps_all_its_bits)
{
	struct nasc_err err = { 0 };
	struct study_config c, back;
	cJSON *tree;
	char *text;

	write_file("c.yaml", "seed: 9007199254740993\n" SPACE); /* 2^53 + 1, no double */
	cr_assert_eq(config_load("c.yaml", NULL, 0, &arena, &c, &err), NASC_OK, "%s", err.msg);
	text = written(&c, CONFIG_WHOLE);
	cr_assert_eq(json_parse("r.json", text, strlen(text), &tree, &err), NASC_OK);
	cr_assert_eq(config_from_json("r.json", tree, NULL, 0, &arena, &back, &err), NASC_OK);
	cJSON_Delete(tree);
	cr_expect(back.seed == 9007199254740993u);
}

/* What a journal goes by: a time limit gives or withholds a score and does not change it. */
Test(config, identity_is_of_what_the_scores_depend_on)
{
	static const char *const same[] = { "evaluator.timeout=9",  "stop.evaluations=7",
					    "strategy.type=random", "objectives=[macs, params]",
					    "failures.retries=2",   "memory.journal=5" },
				 *const changed[] = { "evaluator.budget=2", "evaluator.command=ls",
						      "seed=9", "space.layers=[1, 2]",
						      "input.height=8" };
	struct nasc_err err = { 0 };
	struct study_config c;
	const char *identity;

	write_file("c.yaml", GOOD "evaluator: {type: external, command: sh}\n");
	cr_assert_eq(config_load("c.yaml", NULL, 0, &arena, &c, &err), NASC_OK, "%s", err.msg);
	identity = written(&c, CONFIG_SCORES);
	for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
		cr_assert_eq(config_load("c.yaml", &same[i], 1, &arena, &c, &err), NASC_OK, "%s",
			     err.msg);
		cr_expect_str_eq(written(&c, CONFIG_SCORES), identity, "%s", same[i]);
	}
	for (size_t i = 0; i < sizeof changed / sizeof *changed; i++) {
		cr_assert_eq(config_load("c.yaml", &changed[i], 1, &arena, &c, &err), NASC_OK, "%s",
			     err.msg);
		cr_expect_str_neq(written(&c, CONFIG_SCORES), identity, "%s", changed[i]);
	}
}

/* What the rows of a journal are dropped by. An end only counts where it is planned for. */
Test(config, order_is_of_what_the_candidates_depend_on)
{
	static const struct {
		const char *strategy, *set;
		bool changes;
	} keys[] = {
		{ "nsga2", "strategy.population=8", true },
		{ "nsga2", "objectives=[macs, params]", true },
		{ "nsga2", "targets=[stm32l476]", true },
		{ "nsga2", "fit_targets=false", true },
		{ "nsga2", "constraints={params: 9 k}", true },
		{ "nsga2", "goal={params: 9 k}", false },
		{ "nsga2", "reference={params: 9 k}", false },
		{ "nsga2", "memory.journal=5", false },
		{ "nsga2", "evaluator.timeout=9", false },
		{ "nsga2", "stop.evaluations=7", false },
		{ "nsga2", "stop.generations=7", false },
		{ "amosa", "stop.evaluations=7", true },
		{ "amosa", "stop.generations=7", true },
		{ "amosa", "stop.trained=7", false },
		{ "amosa", "stop.time_s=7 s", false },
		{ "amosa", "stop.hypervolume=7", false },
		{ "amosa", "stop.stalled=7", false },
		{ "amosa", "goal={params: 9 k}", false },
	};
	struct nasc_err err = { 0 };

	write_file("c.yaml", GOOD "evaluator: {type: external, command: sh}\n");
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		const char *set[] = { NULL, keys[i].set };
		char strategy[64];
		struct study_config c, other;

		snprintf(strategy, sizeof strategy, "strategy.type=%s", keys[i].strategy);
		set[0] = strategy;
		cr_assert_eq(config_load("c.yaml", set, 1, &arena, &c, &err), NASC_OK, "%s",
			     err.msg);
		cr_assert_eq(config_load("c.yaml", set, 2, &arena, &other, &err), NASC_OK, "%s",
			     err.msg);
		cr_expect_eq(strcmp(written(&c, CONFIG_ORDER), written(&other, CONFIG_ORDER)) != 0,
			     keys[i].changes, "%s, %s", keys[i].strategy, keys[i].set);
	}
}

Test(config, set_goes_over_the_file)
{
	static const char *const set[] = { "strategy.type=random", "strategy.batch=3", "seed=9",
					   "objectives=[macs, params]" };
	static const char *const bad[][2] = {
		{ "seed", "--set seed: expected key=value, as strategy.population=64" },
		{ "=3", "--set =3: expected key=value, as strategy.population=64" },
		{ "strategy.type=tabu", "--set: strategy: unknown type 'tabu', known are nsga2, "
					"nsga3, sms_emoa, amosa, regularized_evolution, random" },
		{ "sead=3", "--set: unknown key 'sead'; did you mean 'seed'?" },
	};
	struct nasc_err err = { 0 };
	struct study_config c;

	write_file("c.yaml", GOOD);
	cr_assert_eq(config_load("c.yaml", set, 4, &arena, &c, &err), NASC_OK, "%s", err.msg);
	cr_expect_str_eq(c.strategy->name, "random");
	cr_expect_eq(c.seed, 9u);
	cr_expect_eq(c.objectives.n, 2u);
	cr_expect_str_eq(c.objectives.v[0], "macs");
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		err = (struct nasc_err){ 0 };
		cr_expect_neq(config_load("c.yaml", &bad[i][0], 1, &arena, &c, &err), NASC_OK);
		cr_expect_str_eq(err.msg, bad[i][1], "%s", err.msg);
	}
}

Test(config, shipped_configs_load_and_round_trip)
{
	static const char *const names[] = {
		"quickstart",	    "robust",		"nb201",	 "headline/mnist",
		"headline/fashion", "headline/cifar10", "problems/zdt1", "problems/zdt2",
		"problems/zdt3",    "problems/dtlz2",	"reference"
	};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		char name[64];
		struct study_config c;
		struct nasc_err err = { 0 };

		snprintf(name, sizeof name, "configs/%s.yaml", names[i]);
		cr_assert_eq(config_load(source(name), NULL, 0, &arena, &c, &err), NASC_OK, "%s",
			     err.msg);
		round_trip(&c);
	}
}

/* configs/reference.yaml is what `nasc help config` prints. */
Test(config, reference_is_up_to_date)
{
	char *text = NULL, *file;
	size_t n = 0, file_n;
	FILE *fp = open_memstream(&text, &n);
	struct nasc_err err = { 0 };

	config_reference(fp);
	fclose(fp);
	cr_assert_eq(
		file_read(source("configs/reference.yaml"), 1 << 20, &arena, &file, &file_n, &err),
		NASC_OK, "%s", err.msg);
	cr_expect_str_eq(file, text, "write it anew: nasc help config >configs/reference.yaml");
	free(text);
}
