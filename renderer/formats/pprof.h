/*
 * What who writes pprof's profiles and who reads them agree on.
 */
#ifndef FLAME_RENDERER_PPROF_H
#define FLAME_RENDERER_PPROF_H

/* Title, subtitle and warning are comments, in that order, empty ones too; so begins
 * the one behind them, by which they are known as ours. */
#define FLAME_PPROF_TEXTS 3
#define FLAME_PPROF_PRODUCER "written by flameprof"

#endif
