// pagmo's NSGA-II, sorting and hypervolume: the rows of bench_engine.c, by its names.
// "rank memory" is the peak of the whole process, a point.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <functional>
#include <string>
#include <sys/resource.h>
#include <tuple>
#include <vector>

#include <pagmo/algorithm.hpp>
#include <pagmo/algorithms/nsga2.hpp>
#include <pagmo/population.hpp>
#include <pagmo/problem.hpp>
#include <pagmo/problems/dtlz.hpp>
#include <pagmo/problems/zdt.hpp>
#include <pagmo/utils/hypervolume.hpp>
#include <pagmo/utils/multi_objective.hpp>

namespace
{

using points = std::vector<pagmo::vector_double>;

constexpr unsigned population_size = 100, generations = 249, seeds = 11;
constexpr int repeats_max = 11;
constexpr double repeats_s = 0.4, corner = 1.1;

double now_cpu_s()
{
	timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

double median(std::vector<double> v)
{
	std::sort(v.begin(), v.end());
	return v[v.size() / 2];
}

// Median CPU time of repeated calls; as many as bench_engine.c makes.
double measure(const std::function<void()> &call)
{
	std::vector<double> took;
	double all = 0;

	do {
		double began = now_cpu_s();
		call();
		took.push_back(now_cpu_s() - began);
		all += took.back();
	} while (took.size() < repeats_max && all < repeats_s);
	return median(took);
}

// cpu_s: NAN where none was measured.
void report(const std::string &name, std::size_t n, std::size_t m, double value, double cpu_s)
{
	static bool first = true;
	char seconds[32] = "null";

	if (!std::isnan(cpu_s))
		std::snprintf(seconds, sizeof seconds, "%.9g", cpu_s);
	std::printf("%s\n  {\"name\": \"%s\", \"n\": %zu, \"objectives\": %zu, \"value\": %.17g, "
		    "\"cpu_s\": %s}",
		    first ? "[" : ",", name.c_str(), n, m, value, seconds);
	first = false;
}

double unit(std::uint64_t &s)
{
	s ^= s << 13;
	s ^= s >> 7;
	s ^= s << 17;
	return static_cast<double>(s >> 11) * 0x1p-53;
}

points make_points(std::size_t n, std::size_t m, bool sphere)
{
	std::uint64_t s = 88172645463325252u;
	points f(n, pagmo::vector_double(m));

	for (auto &p : f) {
		double r = 0;

		for (double &v : p) {
			v = unit(s);
			if (sphere)
				v = std::fabs(std::sqrt(-2 * std::log(v + 1e-300)) *
					      std::cos(2 * 3.14159265358979323846 * unit(s)));
			r += v * v;
		}
		if (sphere)
			for (double &v : p)
				v /= std::sqrt(r);
	}
	return f;
}

double volume(const points &f, std::size_t m)
{
	points inside;

	for (const auto &p : f)
		if (std::all_of(p.begin(), p.end(), [](double v) { return v < corner; }))
			inside.push_back(p);
	if (inside.empty())
		return 0;
	return pagmo::hypervolume(std::move(inside), true).compute(pagmo::vector_double(m, corner));
}

void run_nsga2(const std::string &name, const pagmo::problem &problem)
{
	std::vector<double> value, cpu_s;
	double rate = 1 / static_cast<double>(problem.get_nx());

	for (unsigned seed = 1; seed <= seeds; seed++) {
		double began = now_cpu_s();
		pagmo::population pop(problem, population_size, seed);

		pop = pagmo::algorithm(pagmo::nsga2(generations, 0.9, 15, rate, 20, seed))
			      .evolve(pop);
		cpu_s.push_back(now_cpu_s() - began);
		value.push_back(volume(pop.get_f(), problem.get_nobj()));
	}
	report("nsga2 " + name, population_size * (generations + 1), problem.get_nobj(),
	       median(value), median(cpu_s));
}

void sort_points(std::size_t n, std::size_t m)
{
	points f = make_points(n, m, false);
	std::size_t fronts = 0;
	double took =
		measure([&] { fronts = std::get<0>(pagmo::fast_non_dominated_sorting(f)).size(); });

	report("rank", n, m, static_cast<double>(fronts), took);
}

void measure_volume(std::size_t n, std::size_t m)
{
	points f = make_points(n, m, true);
	double value = 0;
	double took = measure([&] {
		value = pagmo::hypervolume(f, true).compute(pagmo::vector_double(m, corner));
	});

	report("hypervolume", n, m, value, took);
}

} // namespace

int main()
{
	constexpr std::size_t most_sorted = 10000; // its memory grows with the square
	rusage usage;

	for (std::size_t m = 2; m <= 4; m++)
		measure_volume(1000, m);
	for (std::size_t n = 1000; n <= most_sorted; n *= 10)
		for (std::size_t m = 2; m <= 5; m++)
			sort_points(n, m);
	getrusage(RUSAGE_SELF, &usage);
	report("rank memory", most_sorted, 5,
	       1024 * static_cast<double>(usage.ru_maxrss) / static_cast<double>(most_sorted), NAN);
	run_nsga2("zdt1", pagmo::problem(pagmo::zdt(1, 30)));
	run_nsga2("zdt2", pagmo::problem(pagmo::zdt(2, 30)));
	run_nsga2("zdt3", pagmo::problem(pagmo::zdt(3, 30)));
	run_nsga2("dtlz2", pagmo::problem(pagmo::dtlz(2, 12, 3)));
	std::puts("\n]");
	return 0;
}
