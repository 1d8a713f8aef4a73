#ifndef NASC_SEARCH_VARIATION_H
#define NASC_SEARCH_VARIATION_H
#include "search.h"

/* Operators on vectors that lie in a domain and stay in it. */

enum variation_crossover { VARIATION_UNIFORM, VARIATION_TWO_POINT };
extern const char *const variation_crossover_names[];
enum variation_step { VARIATION_ANY, VARIATION_STEP };
extern const char *const variation_step_names[];

/* How a genetic strategy varies parents: its keys, where this is the first member of
 * its configuration. */
struct variation_cfg {
	int64_t crossover, integer_mutation;
	double crossover_probability, eta_crossover, eta_mutation, mutation_rate, move_rate;
};
#define VARIATION_FIELDS(probability, eta)                                                         \
	CFG_REAL_FIELD(struct variation_cfg, crossover_probability, probability, 0, 1, UNIT_NONE,  \
		       "probability", "chance that a pair of parents is crossed"),                 \
		CFG_CHOICE_FIELD(struct variation_cfg, crossover, "uniform",                       \
				 variation_crossover_names, "how integer variables are crossed"),  \
		CFG_REAL_FIELD(struct variation_cfg, eta_crossover, eta, 0, 1000, UNIT_NONE, "",   \
			       "distribution index of the crossover of real variables (SBX)"),     \
		VARIATION_MUTATION_FIELDS
#define VARIATION_MUTATION_FIELDS                                                                  \
	CFG_REAL_FIELD(struct variation_cfg, eta_mutation, "20", 0, 1000, UNIT_NONE, "",           \
		       "distribution index of the polynomial mutation of real variables"),         \
		CFG_REAL_FIELD(struct variation_cfg, mutation_rate, "0", 0, 1, UNIT_NONE,          \
			       "probability",                                                      \
			       "chance that a variable is mutated; 0: one over their number"),     \
		CFG_CHOICE_FIELD(                                                                  \
			struct variation_cfg, integer_mutation, "any", variation_step_names,       \
			"what an integer variable mutates to: any other value, or one step off "   \
			"(either end half as often as the rest)"),                                 \
		VARIATION_MOVE_FIELD(struct variation_cfg)
#define VARIATION_MOVE_FIELD(S)                                                                    \
	CFG_REAL_FIELD(S, move_rate, "0", 0, 1, UNIT_NONE, "probability",                          \
		       "chance of the space's own move instead, where it has one; mobilenet: "     \
		       "smaller kernels or fewer blocks early, larger or more late")

/* Cross a pair, with the probability for it; the vectors are not settled (canonical)
 * before they are mutated. Reals: simulated binary crossover, bounded, each with
 * probability 1/2. Integers change places: each with probability 1/2, or those between
 * two cuts. Source: Deb & Agrawal, Complex Systems 9(2) 1995; bounds as in Deb, GECCO
 * 1999. */
void variation_cross(const struct search_domain *d, const struct variation_cfg *cfg,
		     struct rng *rng, double *a, double *b);

/* With probability @rate the domain's own move. False: @x is as it was. Nothing is drawn where
 * there is none, or no rate. */
bool variation_move(const struct search_domain *d, double rate, struct rng *rng, double *x);

/* Mutate, by the domain's own move or each variable with the probability for it, and settle. Reals:
 * polynomial mutation, bounded. Integers: another value, any or a neighbouring one; where all
 * variables are integers at least one changes. Source: Deb & Goyal, Computer Science
 * and Informatics 26(4) 1996. */
void variation_mutate(const struct search_domain *d, const struct variation_cfg *cfg,
		      struct rng *rng, double *x);

void variation_settle(const struct search_domain *d, double *x);
bool variation_all_integer(const struct search_domain *d);

/* Uniform in the domain, settled. */
void variation_sample(const struct search_domain *d, struct rng *rng, double *x);

/* One of the variables that have more than one value, each as likely; n_vars: there is none. */
size_t variation_pick(const struct search_domain *d, struct rng *rng);

/* Another value of one integer variable that has more than one. */
double variation_another(const struct search_var *var, enum variation_step step, struct rng *rng,
			 double v);
#endif
