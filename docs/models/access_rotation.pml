/* A rotation of a relay's access key, with a client that follows by itself (altnetd), one that has a file (wg-quick), and
 * a keyd that may die between giving orders and noting them.
 *
 * Check it:   spin -a access_rotation.pml && gcc -O2 -o pan pan.c && ./pan     (errors: 0; tests/models/ runs it)
 * Break it:   spin -a -DEARLY access_rotation.pml ...   the key is kept before clients are seen to use it; errors: 1
 *             spin -a -DBLIND access_rotation.pml ...   a client's route moves before its handshake is seen; errors: 1
 *             spin -a -DHASTY access_rotation.pml ...   a lane goes before the relay answers by the other one; errors: 1
 *             spin -a -DDEAF access_rotation.pml ...    the next key is dropped before clients hear that it goes back; errors: 1
 *             spin -a -DNODATE access_rotation.pml ...  the latest date does not wait for who has a file; errors: 1
 *
 * What is in the model: orders reach the relay late, or not until later ones have taken their place; the registry shows
 * the client its configuration at once, so it may be ahead of its relay; hellos and reports are lost or old; keyd repeats
 * orders; an operator rolls back at any time; whoever has a file installs it when he likes, or not until the latest date.
 * What is not: time (a deadline is a choice that may be made at any moment), a client that is away (as one with a file),
 * a reboot of a client, which cuts it off anyway, and somebody who installs a file of before a roll-back after it.
 */
mtype = { NONE, READY, OPEN, BACK, KEPT, DROPPED };

mtype ordered = NONE;          /* what the registry has taken: absolute, so the last order is all there is */
byte  version = 0;             /* the change with it */
bool  over = false;
bool  date = false;            /* the latest date has come */

mtype heard = NONE;            /* what the relay has applied */
byte  applied = 0;
bool  old_device = true;       /* the relay's access devices, by key */
bool  new_device = false;
bool  answers_new = false;     /* by which way the client's newest hello came, and is answered */
byte  reported = 0;            /* what keyd knows */
bool  reported_new = false;
bool  reported_file = false;
bool  heard_back = false;      /* the last report is of after the client had heard that it goes back, and gone by it */

bool  told_new = false;        /* what the client's configuration names */
bool  old_lane = true;         /* the client's two interfaces, and whether a handshake was seen there */
bool  new_lane = false;
bool  old_session = true;
bool  new_session = false;
bool  on_new = false;          /* where the client's routes go */

bool  file_new = false;        /* which key the other client's file names */

/* Where the client sends, the relay reads; where the relay answers, the client reads. */
#define GOOD  ((!on_new || (new_device && new_session)) && (on_new || old_device) \
               && (!answers_new || new_lane) && (answers_new || old_lane))
/* Who has a file is cut off by the latest date alone. */
#define FILED (date || (file_new -> new_device : old_device))

#ifdef NODATE
#define FOLLOWED true
#else
#define FOLLOWED (reported_file || date)
#endif

#ifdef DEAF
#define HEARD true
#else
#define HEARD heard_back       /* in earnest: the plan's drain, in which clients say hello, and relays report, some times */
#endif

inline publish(stage) { d_step { ordered = stage; version++ } }

active proctype keyd() {
  mtype phase = READY;
  publish(READY);
  do
  :: phase == READY && reported == version -> publish(OPEN); phase = OPEN    /* the relay takes both keys */
#ifdef EARLY
  :: phase == OPEN -> publish(KEPT); phase = KEPT; break
#else
  :: phase == OPEN && reported == version && reported_new && FOLLOWED -> publish(KEPT); phase = KEPT; break
#endif
  :: (phase == READY || phase == OPEN) -> publish(BACK); phase = BACK       /* an operator, or a deadline */
  :: phase == BACK && reported == version && !reported_new && !reported_file && HEARD ->
       publish(DROPPED); phase = DROPPED; break
  :: version < 5 && phase == OPEN -> publish(ordered)                       /* died before it noted: the same again */
  od;
  over = true
}

active proctype relay() {
  do
  :: applied < version ->                     /* hear the present orders: those between are never seen */
       d_step {
         heard = ordered; applied = version;
         if
         :: heard == READY || heard == OPEN || heard == BACK -> new_device = true
         :: heard == KEPT -> new_device = true; old_device = false; answers_new = true
         :: heard == DROPPED -> new_device = false; answers_new = false
         fi
       }
  :: on_new != answers_new && (on_new -> new_device : old_device) -> answers_new = on_new       /* a hello arrives */
  :: d_step {                                 /* a report that arrives */
       reported = applied; reported_new = answers_new; reported_file = file_new;
       heard_back = ordered == BACK && !told_new && !on_new
     }
  :: over && applied == version -> break
  od
}

active proctype client() {
  do
  :: told_new != (ordered == OPEN || ordered == KEPT) -> told_new = (ordered == OPEN || ordered == KEPT)
  :: told_new && !new_lane -> new_lane = true
  :: !told_new && !old_lane -> old_lane = true
  :: new_lane && new_device && !new_session -> new_session = true
  :: old_lane && old_device && !old_session -> old_session = true
#ifdef BLIND
  :: told_new && new_lane && !on_new -> on_new = true
#else
  :: told_new && new_lane && new_session && !on_new -> on_new = true
#endif
  :: !told_new && old_lane && old_session && on_new -> on_new = false
#ifdef HASTY
  :: told_new && on_new && old_lane -> d_step { old_lane = false; old_session = false }
#else
  :: told_new && on_new && answers_new && old_lane -> d_step { old_lane = false; old_session = false }
#endif
  :: !told_new && !on_new && !answers_new && new_lane -> d_step { new_lane = false; new_session = false }
  :: over && applied == version && told_new == (ordered == KEPT) && on_new == told_new && answers_new == on_new -> break
  od
}

active proctype somebody() {                  /* with a file */
  do
  :: d_step { ordered == OPEN && !file_new -> file_new = true }
  :: d_step { ordered == BACK && file_new -> file_new = false }
  :: !date -> date = true
  :: over -> break
  od
}

active proctype watch() {
  do
  :: atomic { !GOOD || !FILED -> assert(false) }
  :: over && applied == version && on_new == (ordered == KEPT) && answers_new == on_new ->
       assert(old_device == !on_new && new_device == on_new);
       break
  od
}
