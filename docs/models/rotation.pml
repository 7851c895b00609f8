/* A rotation of mesh keys between two relays, with a keyd that may die between giving orders and noting them.
 *
 * Check it:   spin -a rotation.pml && gcc -O2 -o pan pan.c && ./pan        (errors: 0; tests/models/ runs it)
 * Break it:   spin -a -DEARLY rotation.pml ...     keys are kept before everybody has reported; errors: 1
 *             spin -a -DBLIND rotation.pml ...     a route moves before its handshake is seen; errors: 1
 *
 * What is in the model: orders reach each relay late, or not until later ones have taken their place; a relay's reports
 * are lost or old; agents die and start again with what the host has; keyd repeats orders; an operator rolls back at any time.
 * What is not: time. A deadline is a choice that may be made at any moment.
 */
mtype = { NONE, READY, OPEN, BACK, KEPT, DROPPED };
#define OTHER (1 - me)

mtype ordered = NONE;          /* what the registry has published: absolute, so the last order is all there is */
byte  version = 0;             /* the generation of it */
mtype heard[2] = NONE;         /* what each relay has applied */
byte  applied[2] = 0;          /* the generation of that */
bool  old_device[2] = true;
bool  new_device[2] = false;
bool  session[2] = false;      /* the handshake of the new keys, as this end sees it */
bool  accepts[2] = false;      /* this end can read packets of the new keys */
bool  on_new[2] = false;       /* where this end's route goes */
byte  reported[2] = 0;         /* the generation that keyd has a report of */
bool  reported_new[2] = false; /* and what that report said */
bool  over = false;

/* The whole claim: wherever a route goes, the other end has that device and reads what comes by it. */
#define GOOD(a, b) ((!on_new[a] || (new_device[b] && accepts[b])) && (on_new[a] || old_device[b]))

inline publish(stage) { d_step { ordered = stage; version++ } }

active proctype keyd() {
  mtype phase = READY;
  publish(READY);
  do
  :: phase == READY && applied[0] >= 1 && applied[1] >= 1 && reported[0] == version && reported[1] == version ->
       publish(OPEN); phase = OPEN
#ifdef EARLY
  :: phase == OPEN -> publish(KEPT); phase = KEPT; break
#else
  :: phase == OPEN && reported[0] == version && reported[1] == version && reported_new[0] && reported_new[1] ->
       publish(KEPT); phase = KEPT; break
#endif
  :: (phase == READY || phase == OPEN) -> publish(BACK); phase = BACK     /* an operator, or a deadline */
  :: phase == BACK && reported[0] == version && reported[1] == version && !reported_new[0] && !reported_new[1] ->
       publish(DROPPED); phase = DROPPED; break
  :: version < 6 && phase == OPEN -> publish(ordered)                     /* died before it noted: the same again */
  od;
  over = true
}

proctype agent(byte me) {
  do
  :: applied[me] < version ->                 /* hear the present orders: those between are never seen */
       d_step {
         heard[me] = ordered; applied[me] = version;
         if
         :: heard[me] == READY || heard[me] == OPEN -> new_device[me] = true
         :: heard[me] == BACK -> on_new[me] = false; new_device[me] = true
         :: heard[me] == KEPT -> on_new[me] = true; new_device[me] = true; old_device[me] = false
         :: heard[me] == DROPPED -> on_new[me] = false; new_device[me] = false; session[me] = false; accepts[me] = false
         fi
       }
  :: me == 0 && heard[me] == OPEN && new_device[0] && new_device[1] && !session[0] ->
       d_step { accepts[1] = true; session[0] = true; accepts[0] = true }  /* the initiator has its answer */
  :: me == 1 && accepts[1] && session[0] && !session[1] -> session[1] = true   /* and its first packet arrives */
#ifdef BLIND
  :: heard[me] == OPEN && new_device[me] && !on_new[me] -> on_new[me] = true
#else
  :: heard[me] == OPEN && session[me] && !on_new[me] -> on_new[me] = true
#endif
  :: d_step { reported[me] = applied[me]; reported_new[me] = on_new[me] }  /* a report that arrives */
  :: heard[me] == OPEN && !session[me] -> on_new[me] = false               /* a restart: what the device shows counts */
  :: over && applied[me] == version -> break
  od
}

init {
  atomic { run agent(0); run agent(1) }
}

active proctype watch() {
  do
  :: atomic { !(GOOD(0, 1) && GOOD(1, 0)) -> assert(false) }
  :: over && applied[0] == version && applied[1] == version ->
       assert(on_new[0] == on_new[1] && (old_device[0] == old_device[1]) && (new_device[0] == new_device[1]));
       break
  od
}
