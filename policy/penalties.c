// penalties.c: the arithmetic of failed logins.  See penalties.h.
#include "policy/penalties.h"

#include <time.h>

#include "proxy/base/die.h"
#include "proxy/base/log.h"

enum {
	AT_ONCE = 16, // logins under way in a lane that has no failures
	MS_PER_S = 1000,
	LOOK_MS = 50, // between two looks whether one of them is over
};

static uint64_t divisor_of(const struct ledger *ledger, uint64_t ip_key, uint64_t now_ms)
{
	return 1 + ledger_known_users(ledger, ip_key, now_ms);
}

bool penalties_is_banned(const struct ledger *ledger, const struct listener_options *options,
    const struct addr *ip, uint64_t now_ms)
{
	uint64_t key = ledger_key_ip(ledger, ip);
	return options->ban_time && ledger_is_banned(ledger, key, now_ms) &&
	       divisor_of(ledger, key, now_ms) == 1;
}

// ---- lanes --------------------------------------------------------------

static struct lane ip_lane(const struct attempt *attempt, uint64_t now_ms)
{
	uint64_t divisor = divisor_of(attempt->ledger, attempt->ip_key, now_ms);
	return (struct lane){
	    .of = LEDGER_FAILURES_OF_IP,
	    .is_ip = true,
	    .key = attempt->ip_key,
	    .divisor = divisor,
	    .ban_after = attempt->options->ban_after * divisor,
	};
}

static struct lane user_lane(const struct attempt *attempt)
{
	return (struct lane){
	    .of = LEDGER_FAILURES_OF_USER,
	    .is_user = true,
	    .key = ledger_key_user(attempt->ledger, attempt->backend, attempt->user),
	    .divisor = 1,
	    .ban_after = attempt->options->ban_after_user,
	};
}

static struct lane pair_lane(const struct attempt *attempt)
{
	return (struct lane){
	    .of = LEDGER_FAILURES_OF_USER,
	    .is_ip = true,
	    .is_user = true,
	    .key = attempt->pair_key,
	    .divisor = 1,
	    .ban_after = attempt->options->ban_after,
	};
}

void attempt_begin(struct attempt *attempt, struct ledger *ledger, struct limits *limits,
    const struct listener_options *options, const struct attempt_claim *claim, uint64_t now_ms)
{
	attempt_end(attempt);
	*attempt = (struct attempt){
	    .ledger = ledger,
	    .limits = limits,
	    .options = options,
	    .ip = claim->ip,
	    .backend = claim->backend,
	    .user = claim->user,
	    .ip_key = ledger_key_ip(ledger, claim->ip),
	    .pair_key = ledger_key_pair(ledger, claim->ip, claim->backend, claim->user),
	    .latest_ms = now_ms + options->login_delay_max,
	};
	bool is_known = ledger_is_known(ledger, attempt->pair_key, now_ms);
	attempt->num_waiting = is_known ? 1 : 2;
	attempt->lanes[is_known ? 1 : 0] = ip_lane(attempt, now_ms);
	attempt->lanes[is_known ? 0 : 1] = is_known ? pair_lane(attempt) : user_lane(attempt);
}

// Failures of the lane, as they count for delays.
static uint64_t level_of(const struct attempt *attempt, const struct lane *lane, uint64_t now_ms)
{
	return ledger_failures(attempt->ledger, lane->of, lane->key, now_ms) / lane->divisor;
}

static uint64_t delay_of(const struct attempt *attempt, uint64_t level)
{
	uint64_t delay = attempt->options->login_delay;
	uint64_t most = attempt->options->login_delay_max;
	for (; level > 1 && delay && delay < most; level--)
		delay *= 2;
	return delay < most ? delay : most;
}

// ---- turns --------------------------------------------------------------

static bool is_banned(const struct attempt *attempt, uint64_t now_ms)
{
	for (size_t i = 0; i < attempt->num_waiting && attempt->options->ban_time; i++)
		if (ledger_is_banned(attempt->ledger, attempt->lanes[i].key, now_ms))
			return true;
	return false;
}

static bool take_place(const struct attempt *attempt, struct lane *lane)
{
	return lane->place.entry ||
	       limits_take(attempt->limits, lane->key, AT_ONCE * lane->divisor, &lane->place);
}

static enum turn refuse(struct attempt *attempt, enum turn turn)
{
	attempt_end(attempt);
	return turn;
}

// One lane's part.  The place comes first: who finds that there are no failures
// has it, and no more than these can find that.
static enum turn pass_lane(
    struct attempt *attempt, struct lane *lane, uint64_t now_ms, uint64_t *out_wait_ms)
{
	*out_wait_ms = LOOK_MS;
	if (!take_place(attempt, lane))
		return now_ms + LOOK_MS > attempt->latest_ms ? refuse(attempt, TURN_TOO_LATE)
		                                             : TURN_LATER;
	attempt->num_passed++;
	uint64_t level = level_of(attempt, lane, now_ms), turn_ms;
	if (!level)
		return TURN_NOW;
	if (!ledger_take_turn(attempt->ledger, lane->key, delay_of(attempt, level),
	        attempt->latest_ms, now_ms, &turn_ms))
		return refuse(attempt, TURN_TOO_LATE);
	*out_wait_ms = turn_ms - now_ms;
	return *out_wait_ms ? TURN_LATER : TURN_NOW;
}

enum turn attempt_next_turn(struct attempt *attempt, uint64_t now_ms, uint64_t *out_wait_ms)
{
	enum turn turn = TURN_NOW;
	if (is_banned(attempt, now_ms))
		return refuse(attempt, TURN_BANNED);
	while (turn == TURN_NOW && attempt->options->login_delay &&
	       attempt->num_passed < attempt->num_waiting)
		turn =
		    pass_lane(attempt, &attempt->lanes[attempt->num_passed], now_ms, out_wait_ms);
	return turn;
}

// ---- the answer ---------------------------------------------------------

void attempt_succeeded(struct attempt *attempt, uint64_t now_ms)
{
	ledger_note_good(attempt->ledger, attempt->ip_key, attempt->pair_key, now_ms);
	attempt_end(attempt);
}

static void add_ip(struct log_line *line, const struct addr *ip)
{
	char room[ADDR_TEXT_SIZE];
	struct text text = TEXT(room);
	addr_print_ip(ip, &text);
	log_str(line, "address", text_str(&text));
}

static void log_ban(const struct attempt *attempt, const struct lane *lane)
{
	struct log_line line;
	log_begin(&line, LOG_banned);
	if (lane->is_ip)
		add_ip(&line, attempt->ip);
	if (lane->is_user) {
		log_str(&line, "backend", attempt->backend);
		log_str(&line, "user", attempt->user);
	}
	log_u64(&line, "failed_logins", lane->ban_after);
	log_time(&line, "until", time(NULL) + (time_t)(attempt->options->ban_time / MS_PER_S));
	log_end(&line);
}

static void count(const struct attempt *attempt, const struct lane *lane, uint64_t now_ms)
{
	uint64_t ban_time = attempt->options->ban_time;
	uint64_t failures =
	    ledger_add_failure(attempt->ledger, lane->of, lane->key, lane->ban_after, now_ms);
	if (ban_time && failures >= lane->ban_after &&
	    ledger_ban(attempt->ledger, lane->key, now_ms + ban_time, now_ms))
		log_ban(attempt, lane);
}

uint64_t attempt_failed(struct attempt *attempt, struct str password, uint64_t now_ms)
{
	uint64_t longest = 0;
	bool is_new = ledger_note_password(attempt->ledger, attempt->pair_key, password, now_ms);
	for (size_t i = 0; i < ATTEMPT_LANES && is_new; i++)
		count(attempt, &attempt->lanes[i], now_ms);
	for (size_t i = 0; i < attempt->num_waiting; i++) {
		const struct lane *lane = &attempt->lanes[i];
		uint64_t delay = delay_of(attempt, level_of(attempt, lane, now_ms));
		ledger_hold_turns(attempt->ledger, lane->key, now_ms + delay, now_ms);
		longest = delay > longest ? delay : longest;
	}
	attempt_end(attempt);
	return longest;
}

void attempt_end(struct attempt *attempt)
{
	for (size_t i = 0; i < ATTEMPT_LANES; i++)
		if (attempt->lanes[i].place.entry)
			limits_give_back(attempt->limits, &attempt->lanes[i].place);
}
