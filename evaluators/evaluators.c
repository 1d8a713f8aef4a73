#include "evaluators.h"

#include <string.h>

extern const struct evaluator_ops evaluator_external;
extern const struct evaluator_ops evaluator_naswot;
extern const struct evaluator_ops evaluator_synflow;
extern const struct evaluator_ops evaluator_tabular;
extern const struct evaluator_ops evaluator_train;

const struct evaluator_ops *const evaluator_registry[] = {
	&evaluator_external, &evaluator_naswot, &evaluator_synflow,
	&evaluator_tabular,  &evaluator_train,	NULL,
};

const struct evaluator_ops *evaluator_find(const char *name)
{
	for (size_t i = 0; evaluator_registry[i]; i++)
		if (strcmp(evaluator_registry[i]->name, name) == 0)
			return evaluator_registry[i];
	return NULL;
}
