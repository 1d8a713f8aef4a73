#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "job.h"
#include "file.h"
#include "json.h"
#include "study.h"

static void show_progress(const struct train_progress *p, void *ctx)
{
	char line[160];

	(void)ctx;
	snprintf(line, sizeof line, "epoch %lld/%lld  loss %.4f  %.0f images/s  %.0f %%",
		 (long long)p->epoch, (long long)p->epochs, p->loss, p->images_per_s,
		 100 * p->done);
	progress_line(line);
}

static void print_report(const struct cmd_job *job, const struct train_report *r,
			 const struct dataset *test)
{
	const struct train_cfg *cfg = &job->config.train;
	char params[32], macs[32], memory[32];

	printf("network %s: %s parameters, %s MACs\n", job->what,
	       unit_format((double)network_params(&job->net), UNIT_NONE, params, sizeof params),
	       unit_format((double)network_macs(&job->net), UNIT_NONE, macs, sizeof macs));
	printf("trained %lld epochs in %s, training loss %.4f; %s of memory a worker\n",
	       (long long)cfg->epochs, r->precision, r->loss,
	       unit_format(r->memory_bytes, UNIT_BYTE, memory, sizeof memory));
	printf("test accuracy %.2f %% (%zu images, seen once)\n", 100 * r->test_accuracy, test->n);
	if (cfg->flips > 0)
		printf("test accuracy %.2f %% with weights in int8, %g of their bits flipped "
		       "(%lld draws)\n",
		       100 * (1 - r->test_robustness.error_flips), cfg->flips,
		       (long long)cfg->draws);
	if (cfg->noise > 0)
		printf("test accuracy %.2f %% under noise of standard deviation %g of a pixel in "
		       "[0, 1]\n",
		       100 * (1 - r->test_robustness.error_noise), cfg->noise);
}

static void write_report(const struct cmd_job *job, const struct train_report *r,
			 const struct dataset *test)
{
	const struct train_cfg *cfg = &job->config.train;
	struct json_writer w;

	json_init(&w, stdout, false);
	json_object(&w, NULL);
	json_int(&w, "version", 1);
	json_string(&w, "network", job->what);
	json_u64(&w, "params", network_params(&job->net));
	json_u64(&w, "macs", network_macs(&job->net));
	json_int(&w, "epochs", cfg->epochs);
	json_string(&w, "precision", r->precision);
	json_real(&w, "worker_bytes", r->memory_bytes);
	json_real(&w, "training_loss", r->loss);
	json_real(&w, "test_accuracy", r->test_accuracy);
	json_u64(&w, "test_images", test->n);
	if (cfg->flips > 0)
		json_real(&w, "test_error_flips", r->test_robustness.error_flips);
	if (cfg->noise > 0)
		json_real(&w, "test_error_noise", r->test_robustness.error_noise);
	json_list(&w, "confusion");
	for (size_t i = 0; i < test->classes; i++) {
		json_list(&w, NULL);
		for (size_t k = 0; k < test->classes; k++)
			json_u64(&w, NULL, r->confusion[i * test->classes + k]);
		json_end(&w);
	}
	json_end(&w);
	json_end(&w);
}

/* An option as it was given, if it was. */
static void repeat_option(const struct cmd_args *a, const char *name)
{
	if (cmd_value(a, name))
		fprintf(stderr, " --%s %s", name, cmd_value(a, name));
}

static void print_next(const struct cmd_args *a, const char *weights)
{
	fprintf(stderr, "wrote %s; to deploy it: nasc export %s", weights, a->positional[0]);
	repeat_option(a, "id");
	repeat_option(a, "config");
	fprintf(stderr, " --weights %s -o FOLDER\n", weights);
}

static enum nasc_status train(const struct cmd_args *a, struct arena *arena, struct nasc_err *err)
{
	struct cmd_job job = { 0 };
	struct dataset images, test;
	struct train_report report = { 0 };
	enum nasc_status st;
	unsigned jobs;

	if (cmd_jobs(a, &jobs, err) || cmd_probe_file("save", cmd_value(a, "save"), err) ||
	    cmd_find_job(a, arena, &job, err))
		return err->code;
	results_close(&job.results);
	if (dataset_open_train(&job.config.data, job.config.seed, arena, &images, NULL, err) ||
	    dataset_open_test(&job.config.data, &images, arena, &test, err))
		return nasc_wrap(err, "data");
	st = train_network(&(struct train_request){ .cfg = &job.config.train,
						    .net = &job.net,
						    .train = &images,
						    .test = &test,
						    .seed = job.config.seed,
						    .id = job.id,
						    .threads = jobs,
						    .weights_path = cmd_value(a, "save"),
						    .cancel = cancel_on_signal(),
						    .progress = show_progress },
			   arena, &report, err);
	progress_end();
	if (!report.precision)
		return st;
	if (cmd_flag(a, "json"))
		write_report(&job, &report, &test);
	else
		print_report(&job, &report, &test);
	if (!st && cmd_value(a, "save"))
		print_next(a, cmd_value(a, "save"));
	return st;
}

static enum nasc_status run(const struct cmd_args *a, struct nasc_err *err)
{
	struct arena arena = { 0 };
	enum nasc_status st = train(a, &arena, err);

	arena_free(&arena);
	return st;
}

static const struct cmd_option options[] = {
	{ "id", "N", "row of the results to train; 'knee', or the objective it is best in" },
	{ "config", "FILE", "data and recipe, instead of those the results carry" },
	CMD_SET_OPTION,
	{ "jobs", "N", "threads; the same bits at any number [one per processor]" },
	{ "save", "FILE", "write the trained weights" },
	{ "json", NULL, "machine-readable, with the confusion matrix" },
	{ .name = NULL }
};
const struct cmd cmd_train = { .name = "train",
			       .args = "RESULTS.json --id N | NETWORK.json --config FILE",
			       .summary = "train one network at full budget, test it once",
			       .details = "Trains on all training images with the recipe of the "
					  "config's 'train' section, then\n"
					  "opens the test images, which no search has seen.\n",
			       .min_args = 1,
			       .max_args = 1,
			       .option = options,
			       .run = run };
