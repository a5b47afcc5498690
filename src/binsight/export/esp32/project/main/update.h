/* New programs over the air. One that does not prove itself within minutes is given up for the one before. */
#pragma once

#include <stdbool.h>

#include "settings.h"

/* Call it first: if this program is new, it has five minutes from here. */
void update_guard(void);

/* It works: keep it. Cheap when that was said before. */
void update_confirm(void);

/* It does not work: back to the one before, if it is new; else this returns. */
void update_give_up(void);

/* Look for another program now and then; restarts into it when there is one. Holds the loop meanwhile. */
void update_look(const settings *with);
