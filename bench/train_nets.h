#ifndef BENCH_TRAIN_NETS_H
#define BENCH_TRAIN_NETS_H
#include "network.h"

/* Networks to time training with, all of 10 classes: three DenseNets, the ResNet8 of MLPerf Tiny
 * (Banbury et al. 2021), inverted residuals (Sandler et al. 2018) at 48 pixels. */
struct train_net {
	const char *name;
	struct net_shape input;
	/* The output. */
	uint32_t (*build)(struct network *net, const struct train_net *s);
	uint64_t params;
	uint32_t stem, layers, growth[3]; /* of a DenseNet */
};
extern const struct train_net train_nets[];
extern const size_t n_train_nets;

/* The network in @a; ends the program when it does not have s->params parameters. */
void train_net_make(const struct train_net *s, struct arena *a, struct network *net);
#endif
