#ifndef TESTS_LEAK_H
#define TESTS_LEAK_H
/* Criterion 2.4.1 prints LeakSanitizer's report of a test process but still
 * passes the test. Use `TestSuite(name, .fini = no_leaks);` in every suite. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define NASC_HAS_LSAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(NASC_HAS_LSAN)
#include <sanitizer/lsan_interface.h>
#include <stdlib.h>
static inline void no_leaks(void)
{
	if (__lsan_do_recoverable_leak_check())
		abort();
}
#else
static inline void no_leaks(void)
{
}
#endif
#endif
