/** The time of day for markup that tells how long ago something was. It ticks once a second while somebody runs it. */
class Clock {
  now = $state(Date.now());

  run(): () => void {
    const tick = setInterval(() => (this.now = Date.now()), 1000);
    return () => clearInterval(tick);
  }
}

export const clock = new Clock();
