#include "evaluators.h"

#include <string.h>

extern const struct evaluator_ops evaluator_az_nas;
extern const struct evaluator_ops evaluator_ensemble;
extern const struct evaluator_ops evaluator_external;
extern const struct evaluator_ops evaluator_grad_norm;
extern const struct evaluator_ops evaluator_jacob_cov;
extern const struct evaluator_ops evaluator_macs;
extern const struct evaluator_ops evaluator_naswot;
extern const struct evaluator_ops evaluator_params;
extern const struct evaluator_ops evaluator_snip;
extern const struct evaluator_ops evaluator_swap;
extern const struct evaluator_ops evaluator_synflow;
extern const struct evaluator_ops evaluator_tabular;
extern const struct evaluator_ops evaluator_train;
extern const struct evaluator_ops evaluator_zen;
extern const struct evaluator_ops evaluator_zico;

const struct evaluator_ops *const evaluator_registry[] = {
	&evaluator_az_nas,    &evaluator_ensemble, &evaluator_external, &evaluator_grad_norm,
	&evaluator_jacob_cov, &evaluator_macs,	   &evaluator_naswot,	&evaluator_params,
	&evaluator_snip,      &evaluator_swap,	   &evaluator_synflow,	&evaluator_tabular,
	&evaluator_train,     &evaluator_zen,	   &evaluator_zico,	NULL,
};

const struct evaluator_ops *evaluator_find(const char *name)
{
	for (size_t i = 0; evaluator_registry[i]; i++)
		if (strcmp(evaluator_registry[i]->name, name) == 0)
			return evaluator_registry[i];
	return NULL;
}
