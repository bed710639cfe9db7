// SPDX-License-Identifier: MIT
#include "io/spin.h"

#include <sched.h>
#include "base/attr.h"

#define SPIN_TIME     20                 /* microseconds: about what a sleep and a wake-up cost both sides */
#define ANSWER_TIME   60                 /* likewise: in which a peer that is woken thinks and answers */
#define ANSWER_WITHIN 50                 /* microseconds of wait, on the average: beyond that ANSWER_TIME is too short */
#define LIGHT         2048               /* bytes moved between two waits, on the average */
#define MOVED_MOST    65536              /* more bytes say no more than so many */
#define SPIN_SCORE    256
#define TRY_EVERY     16                 /* waits */
#define TRY_WITHIN    200                /* microseconds of wait, on the average: beyond that nothing would be found */
#define FRACTION      16                 /* the averages' unit, and how slowly they follow */
#define WAIT_MOST     1000               /* a longer wait says no more than this one */
#define JUMP          100                /* between two looks: somebody else had the processor */
#define JUMP_GIVEN    1000               /* likewise where it was offered to them, and they did not hand it back */
#define PENALTY       (10 * USEC_MS)
#define PENALTY_MOST  (640 * USEC_MS)
#define FORGIVEN      16                 /* so many penalties long without a jump */

void spin_init(struct spin *s, usec_t limit)
{
	cpu_set_t cpus;
	bool pinned = sched_getaffinity(0, sizeof(cpus), &cpus) == 0 && CPU_COUNT(&cpus) < 2;

	*s = (struct spin){ .limit = limit, .pinned = pinned, .average = WAIT_MOST * FRACTION, .penalty = PENALTY };
}

usec_t spin_budget(struct spin *s, bool rings, usec_t now)
{
	bool answer;

	if (s->limit != SPIN_AUTO)
		return s->limit;
	s->bytes += (unsigned int)MIN(s->moved, (size_t)MOVED_MOST) - s->bytes / FRACTION;
	s->moved = 0;
	if (s->average > TRY_WITHIN * FRACTION || now < s->not_before)
		return 0;
	answer = s->bytes < LIGHT * FRACTION && s->average < ANSWER_WITHIN * FRACTION;
	if (!answer && (!rings || s->pinned))
		return 0;
	if (s->score < SPIN_SCORE / 2 && ++s->waits < TRY_EVERY)
		return 0;
	s->waits = 0;
	return answer ? ANSWER_TIME : SPIN_TIME;
}

void spin_ended(struct spin *s, bool found)
{
	s->score -= s->score / FRACTION;
	if (found)
		s->score += SPIN_SCORE / FRACTION;
}

void spin_waited(struct spin *s, usec_t waited)
{
	s->average += MIN(waited, (usec_t)WAIT_MOST) - s->average / FRACTION;
}

void spin_looked(struct spin *s, usec_t elapsed, bool gave, usec_t now)
{
	if (elapsed < (gave ? JUMP_GIVEN : JUMP))
		return;
	if (now - s->not_before > FORGIVEN * s->penalty)
		s->penalty = PENALTY;
	s->not_before = now + s->penalty;
	s->penalty = MIN(2 * s->penalty, PENALTY_MOST);
}
