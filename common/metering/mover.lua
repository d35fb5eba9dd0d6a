-- Takes the sums of a bucket away from those who add to it, to be moved; forgets them once they are.
--
-- KEYS  1 counting  hash  what processes add to    2 moving  hash  what is being moved, by whoever looks
-- ARGV  1 verb
-- take            -> {1, all of `moving`, which was `counting` until now} | {0, all of `moving`, left by an earlier
--                    call}: field and sum in turn, none if there is nothing
-- forget  2 id    -> 1 if `moving` had that id and is gone, else 0: it is another one by now, and not ours

local COUNTING, MOVING = KEYS[1], KEYS[2]

if ARGV[1] == 'take' then
  if redis.call('EXISTS', MOVING) == 1 then return {0, redis.call('HGETALL', MOVING)} end
  if redis.call('EXISTS', COUNTING) == 0 then return {1, {}} end
  redis.call('RENAME', COUNTING, MOVING)
  return {1, redis.call('HGETALL', MOVING)}
end
if (redis.call('HGET', MOVING, 'id') or '') ~= ARGV[2] then return 0 end
return redis.call('DEL', MOVING)
