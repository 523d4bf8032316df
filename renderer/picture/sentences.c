/*
 * What the picture says in words: how good the profile is, and what is wrong.
 */
#include "renderer/picture/svg.h"

#include <math.h>

static void write_count(struct flame_writer *writer, uint64_t count, const char *what)
{
    flame_write_text(writer, " · ");
    flame_write_grouped(writer, count);
    flame_write_text(writer, what);
}

static void write_count_if_any(struct flame_writer *writer, uint64_t count,
                               const char *what)
{
    if (count != 0) {
        write_count(writer, count, what);
    }
}

void flame_write_times(struct flame_writer *writer, const struct flame_tree *tree,
                       uint32_t place)
{
    static const char *const names[FLAME_STATES] = {
        [FLAME_FACT_RUNNING] = "running ",
        [FLAME_FACT_GIL_WAIT] = "waiting for the GIL ",
        [FLAME_FACT_BLOCKED] = "blocked ",
        [FLAME_FACT_RUNNABLE] = "no CPU free ",
    };
    const char *separator = "";

    for (enum flame_fact state = 0; state < FLAME_FACT_CPU; state++) {
        uint64_t time = flame_place_total(tree, place, state);
        if (time == 0) {
            continue;
        }
        flame_write_text(writer, separator);
        flame_write_text(writer, names[state]);
        flame_write_duration(writer, time);
        separator = ", ";
    }
    flame_write_text(writer, separator);
    flame_write_text(writer, "CPU time ");
    flame_write_duration(writer, flame_place_total(tree, place, FLAME_FACT_CPU));
}

/* The normal approximation, widened by half a sample so that 0 % is not certain. */
void flame_write_confidence(struct flame_writer *writer, uint64_t part, uint64_t whole,
                            uint64_t samples)
{
    if (samples == 0 || whole == 0) {
        return;
    }
    double share = (double)part / (double)whole;
    double count = (double)samples;
    double half = 1.96 * sqrt(share * (1 - share) / count) + 0.5 / count;

    flame_write_text(writer, " ± ");
    flame_write_percent(writer, (uint64_t)(half * 1e6), 1000000);
}

/* Below this many samples, or with more time missed, no share can be trusted. */
#define SAMPLES_TO_TRUST 30
#define MISSED_PERCENT_TO_TRUST 10

static bool is_thin(const struct flame_quality *quality)
{
    uint64_t due = quality->samples + quality->missed;

    return quality->samples < SAMPLES_TO_TRUST ||
           quality->missed * 100 > due * MISSED_PERCENT_TO_TRUST;
}

static void write_thin(struct flame_writer *writer, const struct flame_quality *quality)
{
    if (quality->samples < SAMPLES_TO_TRUST) {
        flame_write_text(writer, "Only ");
        flame_write_unsigned(writer, quality->samples);
        flame_write_text(writer, quality->samples == 1 ? " sample:" : " samples:");
        flame_write_text(writer,
                         quality->everybody
                             ? " too few to trust the shares. Watch for longer."
                             : " too few to trust the shares. Take a shorter interval, "
                               "or repeat the work, a request by flamegraph_repeat=.");
        return;
    }
    flame_write_percent(writer, quality->missed, quality->samples + quality->missed);
    flame_write_text(writer, " of the samples were missed: the machine is too busy for "
                             "this interval, small shares are uncertain.");
}

/* What the widths are, in words. */
static const char *clock_in_words(enum flame_clock clock)
{
    switch (clock) {
    case FLAME_CLOCK_CPU:
        return "CPU time";
    case FLAME_CLOCK_OFFCPU:
        return "time off the CPU";
    case FLAME_CLOCK_GIL:
        return "time waiting for the GIL";
    default:
        return "wall time";
    }
}

/* "1.2 s, and 3.4 s in 4 threads and greenlets beside it, CPU time 2.1 s", or "1.2 s
 * watched, 3.4 s of all threads together, CPU time 2.1 s" */
static void write_totals(struct flame_writer *writer,
                         const struct flame_quality *quality)
{
    flame_write_duration(writer, quality->duration_ns);
    if (quality->everybody) {
        flame_write_text(writer, " watched, ");
        flame_write_duration(writer, quality->beside_ns);
        flame_write_text(writer, " of all threads together");
    } else if (quality->children != 0) {
        flame_write_text(writer, ", and ");
        flame_write_duration(writer, quality->beside_ns);
        flame_write_text(writer, " in ");
        flame_write_grouped(writer, quality->children);
        flame_write_text(writer, quality->children == 1
                                     ? " thread or greenlet that it started"
                                     : " threads or greenlets that it started");
    }
    flame_write_text(writer, ", CPU time ");
    flame_write_duration(writer, quality->cpu_ns);
}

/* Missed samples as the time they stand for. */
static void write_missed(struct flame_writer *writer,
                         const struct flame_quality *quality)
{
    write_count(writer, quality->missed, " missed");
    if (quality->missed != 0) {
        flame_write_text(writer, " (");
        /* Of a slow request's most were due in the finer interval. */
        bool finer = quality->spacing_mean_ns != 0 &&
                     quality->spacing_mean_ns < quality->interval_ns;
        flame_write_duration(writer, quality->missed * (finer ? quality->spacing_mean_ns
                                                              : quality->interval_ns));
        flame_write_text(writer, ")");
    }
}

void flame_write_quality(struct flame_writer *writer,
                         const struct flame_picture_options *options)
{
    const struct flame_quality *quality = options->quality;

    if (options->clock != FLAME_CLOCK_WALL) {
        flame_write_text(writer, "widths are ");
        flame_write_text(writer, clock_in_words(options->clock));
        flame_write_text(writer, quality == NULL ? "" : " · ");
    }
    if (quality == NULL) {
        return;
    }
    write_totals(writer, quality);
    write_count(writer, quality->samples,
                quality->samples == 1 ? " sample" : " samples");
    flame_write_text(writer, " · interval ");
    flame_write_duration(writer, quality->interval_ns);
    flame_write_text(writer, " asked");
    if (quality->spacing_mean_ns != 0) {
        flame_write_text(writer, ", ");
        flame_write_duration(writer, quality->spacing_mean_ns);
        flame_write_text(writer, " ± ");
        flame_write_duration(writer, quality->spacing_deviation_ns);
        flame_write_text(writer, " achieved");
    }
    write_missed(writer, quality);
    write_count_if_any(writer, quality->rejected, " rejected");
    write_count_if_any(writer, quality->cut, " cut short");
    write_count_if_any(writer, quality->overflow, " charged to a caller");
    write_count_if_any(writer, quality->unwatched, " threads or greenlets not watched");
    if (quality->idle_ns != 0) {
        flame_write_text(writer, " · ");
        flame_write_duration(writer, quality->idle_ns);
        flame_write_text(writer, " idle, left out");
    }
    if (quality->sampling_ns != 0) {
        flame_write_text(writer, " · sampling took ");
        flame_write_duration(writer, quality->sampling_ns);
    }
    if (!quality->gil_wait_known) {
        flame_write_text(writer, quality->runnable_known
                                     ? " · waits for the GIL are among the blocked"
                                     : " · waits are not told apart");
    }
}

static void write_sentence(struct flame_writer *writer, const char *sentence)
{
    if (writer->length != 0) {
        flame_write_text(writer, " ");
    }
    flame_write_text(writer, sentence);
}

void flame_write_warnings(struct flame_writer *writer,
                          const struct flame_picture_options *options)
{
    const struct flame_quality *quality = options->quality;

    flame_write_bytes(writer, options->warning.data, options->warning.length);
    if (quality == NULL) {
        return;
    }
    if (is_thin(quality)) {
        if (writer->length != 0) {
            flame_write_text(writer, " ");
        }
        write_thin(writer, quality);
    }
    if (quality->deadline_reached) {
        write_sentence(writer, quality->everybody
                                   ? "The profile reached its time limit."
                                   : "The profile reached its time limit; "
                                     "what was watched ran on after it.");
    }
    if (quality->overflow != 0) {
        write_sentence(writer, "The memory for places was full: some samples "
                               "are charged to a caller.");
    }
}

void flame_write_nothing(struct flame_writer *writer,
                         const struct flame_picture_options *options)
{
    const struct flame_quality *quality = options->quality;

    if (options->clock == FLAME_CLOCK_GIL && quality != NULL &&
        !quality->gil_wait_known) {
        flame_write_text(writer,
                         "There is nothing to draw: waits for the GIL could not "
                         "be told from others.");
        return;
    }
    if (options->clock != FLAME_CLOCK_WALL) {
        flame_write_text(writer, "There is nothing to draw: no ");
        flame_write_text(writer, clock_in_words(options->clock));
        flame_write_text(writer, " at all.");
        return;
    }
    if (quality != NULL && quality->idle_ns != 0) {
        flame_write_text(writer, "There is nothing to draw: all threads were idle.");
        return;
    }
    flame_write_text(writer, "There is nothing to draw: no samples.");
    if (quality == NULL || quality->everybody ||
        quality->duration_ns >= quality->interval_ns) {
        return;
    }
    flame_write_text(writer, " The request took ");
    flame_write_duration(writer, quality->duration_ns);
    flame_write_text(writer, ", less than the interval of ");
    flame_write_duration(writer, quality->interval_ns);
    flame_write_text(writer, ".");
}
