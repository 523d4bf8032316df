/*
 * What the picture says in words: how good the profile is, and what is wrong.
 */
#include "renderer/svg.h"

static void write_count(struct flame_writer *writer, uint64_t count, const char *what)
{
    flame_write_text(writer, " · ");
    flame_write_grouped(writer, count);
    flame_write_text(writer, what);
}

static void write_count_if_any(struct flame_writer *writer, uint64_t count,
                               const char *what)
{
    if (count != 0)
        write_count(writer, count, what);
}

void flame_write_quality(struct flame_writer *writer,
                         const struct flame_quality *quality)
{
    if (quality == NULL)
        return;
    flame_write_duration(writer, quality->duration_ns);
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
    write_count(writer, quality->missed, " missed");
    write_count_if_any(writer, quality->rejected, " rejected");
    write_count_if_any(writer, quality->cut, " cut short");
    write_count_if_any(writer, quality->overflow, " charged to a caller");
}

static void write_sentence(struct flame_writer *writer, const char *sentence)
{
    if (writer->length != 0)
        flame_write_text(writer, " ");
    flame_write_text(writer, sentence);
}

void flame_write_warnings(struct flame_writer *writer,
                          const struct flame_picture_options *options)
{
    const struct flame_quality *quality = options->quality;

    flame_write_bytes(writer, options->warning.data, options->warning.length);
    if (quality == NULL)
        return;
    if (quality->deadline_reached)
        write_sentence(writer, "The profile reached its time limit; "
                               "the request ran on after it.");
    if (quality->overflow != 0)
        write_sentence(writer, "The memory for places was full: some samples "
                               "are charged to a caller.");
}

void flame_write_nothing(struct flame_writer *writer,
                         const struct flame_picture_options *options)
{
    const struct flame_quality *quality = options->quality;

    flame_write_text(writer, "There is nothing to draw: no samples.");
    if (quality == NULL || quality->duration_ns >= quality->interval_ns)
        return;
    flame_write_text(writer, " The request took ");
    flame_write_duration(writer, quality->duration_ns);
    flame_write_text(writer, ", less than the interval of ");
    flame_write_duration(writer, quality->interval_ns);
    flame_write_text(writer, ".");
}
