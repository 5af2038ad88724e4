// What the panels compute: pure functions of numbers, no page. `bayes_msc.report.panel` computes the
// same in Python; the tests hold the two together.
const PanelNumbers = (() => {
  "use strict";

  const Z95 = 1.959963984540054;
  const LOG_ROOT_TWO_PI = 0.9189385332046727;

  function logSumExp(values) {
    let top = -Infinity;
    for (const value of values) if (value > top) top = value;
    if (top === -Infinity) return top;
    let sum = 0;
    for (const value of values) sum += Math.exp(value - top);
    return top + Math.log(sum);
  }

  // series near zero, Lentz's continued fraction in the tail
  function erfc(x) {
    if (x < 0) return 2 - erfc(-x);
    if (x > 27) return 0;
    if (x < 2.5) {
      let term = x;
      let sum = x;
      for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum) && n < 200; n += 1) {
        term *= -(x * x) / n;
        sum += term / (2 * n + 1);
      }
      return 1 - (2 / Math.sqrt(Math.PI)) * sum;
    }
    let fraction = 0;
    for (let n = 120; n > 0; n -= 1) fraction = (n / 2) / (x + fraction);
    return Math.exp(-x * x) / (Math.sqrt(Math.PI) * (x + fraction));
  }

  const normalCdf = (x) => 0.5 * erfc(-x / Math.SQRT2);

  function logNormalDensity(x, loc, scale) {
    const z = (x - loc) / scale;
    return -0.5 * z * z - Math.log(scale) - LOG_ROOT_TWO_PI;
  }

  const normalDensity = (x, loc, scale) => Math.exp(logNormalDensity(x, loc, scale));

  // normal prior times normal likelihood
  function update(prior, estimate, se) {
    const precision = 1 / prior.scale ** 2 + 1 / se ** 2;
    const loc = (prior.loc / prior.scale ** 2 + estimate / se ** 2) / precision;
    return { loc, scale: 1 / Math.sqrt(precision) };
  }

  function summary(normal) {
    const [low, high] = [normal.loc - Z95 * normal.scale, normal.loc + Z95 * normal.scale];
    return { median: Math.exp(normal.loc), lower: Math.exp(low), upper: Math.exp(high) };
  }

  // probability of the good side of a rate ratio
  function beyond(normal, threshold, benefit) {
    const z = (Math.log(threshold) - normal.loc) / normal.scale;
    return normalCdf(benefit === "higher" ? -z : z);
  }

  function ascending(values) {
    return Array.from(values.keys()).sort((a, b) => values[a] - values[b]);
  }

  // Zhang & Stephens 2009, with the prior on k of Vehtari et al. 2024
  function fitPareto(tail) {
    const n = tail.length;
    const size = 30 + Math.floor(Math.sqrt(n));
    const quartile = tail[Math.floor(n / 4 + 0.5) - 1];
    if (!(quartile > tail[0])) return { k: NaN, sigma: NaN };
    const meanLog = (b) => tail.reduce((sum, x) => sum + Math.log1p(-b * x), 0) / n;
    const guesses = [];
    const logs = [];
    for (let i = 1; i <= size; i += 1) {
      const b = (1 - Math.sqrt(size / (i - 0.5))) / (3 * quartile) + 1 / tail[n - 1];
      const k = meanLog(b);
      guesses.push(b);
      logs.push(n * (Math.log(-b / k) - k - 1));
    }
    const total = logSumExp(logs);
    let weight = 0;
    let b = 0;
    logs.forEach((log, i) => {
      const share = Math.exp(log - total);
      if (share < 10 * Number.EPSILON) return;
      weight += share;
      b += share * guesses[i];
    });
    b /= weight;
    const k = meanLog(b);
    return { k: (n * k + 5) / (n + 10), sigma: -k / b };
  }

  function paretoQuantile(p, k, sigma) {
    const log = Math.log1p(-p);
    return k === 0 ? -sigma * log : (sigma * Math.expm1(-k * log)) / k;
  }

  // Pareto-smoothed importance weights (Vehtari et al. 2024): weights that sum to 1, and k
  function smoothedWeights(logRatios, efficiency) {
    const n = logRatios.length;
    const top = logRatios.reduce((a, b) => Math.max(a, b), -Infinity);
    const logs = Float64Array.from(logRatios, (value) => value - top);
    const order = ascending(logs);
    const length = Math.floor(n * efficiency > 225 ? 3 * Math.sqrt(n / efficiency) : n / 5);
    const places = order.slice(n - length);
    const low = logs[places[0]];
    let k = NaN;
    // without a tail there is nothing to smooth: equal weights come through as they are
    if (0 - low < 1e-4) k = -Infinity;
    else {
      const cut = Math.exp(logs[order[n - length - 1]]);
      const fitted = fitPareto(places.map((i) => Math.exp(logs[i]) - cut));
      k = fitted.k;
      if (Number.isFinite(k) && fitted.sigma > 0) {
        places.forEach((place, i) => {
          const q = paretoQuantile((i + 0.5) / length, k, fitted.sigma);
          logs[place] = Math.min(Math.log(cut + q), 0);
        });
      }
    }
    const total = logSumExp(logs);
    return { weights: logs.map((value) => Math.exp(value - total)), k };
  }

  // middles of the steps of the weighted distribution function, joined by lines
  function weightedQuantiles(order, values, weights, probabilities) {
    let before = 0;
    const middles = order.map((i) => {
      const middle = before + weights[i] / 2;
      before += weights[i];
      return middle;
    });
    return probabilities.map((p) => {
      let high = middles.findIndex((middle) => middle >= p);
      if (high === -1) high = order.length - 1;
      if (high === 0) return values[order[0]];
      const [a, b] = [middles[high - 1], middles[high]];
      const share = b > a ? Math.min((p - a) / (b - a), 1) : 1;
      return values[order[high - 1]] + share * (values[order[high]] - values[order[high - 1]]);
    });
  }

  function mostK(effective) {
    return Math.min(1 - 1 / Math.log10(effective), 0.7);
  }

  // draws of one prior made to speak for another
  function reweight(panel, prior) {
    const ratios = panel.draws.map(
      (x, i) => logNormalDensity(x, prior.loc, prior.scale) - panel.log_prior[i],
    );
    const { weights, k } = smoothedWeights(ratios, panel.efficiency);
    const squares = weights.reduce((sum, w) => sum + w * w, 0);
    const effective = panel.efficiency / squares;
    const limit = mostK(panel.draws.length * panel.efficiency);
    const supported = k < limit && effective >= panel.least_effective;
    return { weights, k, limit, effective, supported };
  }

  function weightedBeyond(panel, weights, threshold) {
    const cut = Math.log(threshold);
    const sign = panel.benefit === "higher" ? -1 : 1;
    let probability = 0;
    panel.draws.forEach((x, i) => {
      if (sign * (x - cut) < 0) probability += weights[i];
    });
    let variance = 0;
    panel.draws.forEach((x, i) => {
      const inside = sign * (x - cut) < 0 ? 1 : 0;
      variance += (weights[i] * (inside - probability)) ** 2;
    });
    return { probability, mcse: Math.sqrt(variance / panel.efficiency) };
  }

  // number of the trial's own patients that a prior is worth
  function patientsIn(panel, prior) {
    return panel.unit_sd === null ? null : (panel.unit_sd / prior.scale) ** 2;
  }

  // everything that the panel shows; `after.at(c)` is the probability of the good side of c
  function answer(panel, prior) {
    const before = {
      ...summary(prior),
      at: (c) => ({ probability: beyond(prior, c, panel.benefit), mcse: 0 }),
      density: (x) => normalDensity(x, prior.loc, prior.scale),
    };
    const found = { before, patients: patientsIn(panel, prior), supported: true };
    if (panel.kind === "normal") {
      const normal = update(prior, panel.estimate, panel.se);
      const at = (c) => ({ probability: beyond(normal, c, panel.benefit), mcse: 0 });
      const density = (x) => normalDensity(x, normal.loc, normal.scale);
      return { ...found, after: { ...summary(normal), at, density } };
    }
    const support = reweight(panel, prior);
    const numbers = { k: support.k, limit: support.limit, effective: support.effective };
    if (!support.supported) return { ...found, ...numbers, supported: false, after: null };
    panel.order ??= ascending(panel.draws);
    const tails = [0.025, 0.5, 0.975];
    const [lower, median, upper] = weightedQuantiles(
      panel.order, panel.draws, support.weights, tails,
    ).map(Math.exp);
    const at = (c) => weightedBeyond(panel, support.weights, c);
    const density = smooth(panel.draws, support.weights);
    return { ...found, ...numbers, after: { median, lower, upper, at, density } };
  }

  // weighted draws as a curve: binned, then a normal kernel (Silverman's width)
  function smooth(draws, weights, bins = 240) {
    let mean = 0;
    let square = 0;
    let size = 0;
    let [low, high] = [Infinity, -Infinity];
    draws.forEach((x, i) => {
      mean += weights[i] * x;
      square += weights[i] * x * x;
      size += weights[i] ** 2;
      low = Math.min(low, x);
      high = Math.max(high, x);
    });
    const sd = Math.sqrt(Math.max(square - mean * mean, 1e-12));
    const width = 1.06 * sd * size ** 0.2;
    const [start, step] = [low - 3 * width, (high - low + 6 * width) / bins];
    const mass = new Float64Array(bins + 2);
    draws.forEach((x, i) => {
      const place = (x - start) / step;
      const left = Math.floor(place);
      mass[left] += weights[i] * (1 - (place - left));
      mass[left + 1] += weights[i] * (place - left);
    });
    const heights = Array.from(mass, (_, i) => {
      let height = 0;
      const reach = Math.ceil((4 * width) / step);
      for (let j = Math.max(0, i - reach); j <= Math.min(bins + 1, i + reach); j += 1) {
        height += mass[j] * normalDensity((i - j) * step, 0, width);
      }
      return height;
    });
    return (x) => {
      const place = (x - start) / step;
      const left = Math.floor(place);
      if (left < 0 || left >= bins + 1) return 0;
      return heights[left] + (place - left) * (heights[left + 1] - heights[left]);
    };
  }

  // the likelihood as a density; for draws, only where there are enough of them to tell
  function likelihood(panel, points) {
    if (panel.kind === "normal") {
      return points.map((x) => normalDensity(x, panel.estimate, panel.se));
    }
    const equal = panel.draws.map(() => 1 / panel.draws.length);
    const curve = smooth(panel.draws, equal);
    panel.order ??= ascending(panel.draws);
    const at = (share) => panel.draws[panel.order[Math.round(share * (panel.draws.length - 1))]];
    const [low, high] = [at(0.005), at(0.995)];
    const prior = logPriorAt(panel);
    const raw = points.map((x) => (x < low || x > high ? NaN : curve(x) / Math.exp(prior(x))));
    const step = points[1] - points[0];
    const total = raw.reduce((sum, y) => (Number.isNaN(y) ? sum : sum + y * step), 0);
    return raw.map((y) => y / total);
  }

  // the density of the prior that was sampled with, between draws
  function logPriorAt(panel) {
    panel.order ??= ascending(panel.draws);
    return (x) => {
      let [low, high] = [0, panel.order.length - 1];
      while (high - low > 1) {
        const middle = (low + high) >> 1;
        if (panel.draws[panel.order[middle]] <= x) low = middle;
        else high = middle;
      }
      const [i, j] = [panel.order[low], panel.order[high]];
      const [a, b] = [panel.draws[i], panel.draws[j]];
      const share = b > a ? (x - a) / (b - a) : 0;
      return panel.log_prior[i] + share * (panel.log_prior[j] - panel.log_prior[i]);
    };
  }

  function ticks(low, high, most) {
    for (const steps of [[1, 1.5, 2, 3, 5, 7], [1, 2, 5], [1, 3], [1]]) {
      const found = [];
      for (let power = -6; power <= 6; power += 1) {
        for (const step of steps) {
          const tick = Number((step * 10 ** power).toPrecision(3));
          if (Math.log(tick) >= low && Math.log(tick) <= high) found.push(tick);
        }
      }
      if (found.length <= most) return found;
    }
    return [1];
  }

  // numbers as a reader meets them in the rest of the report
  function ratio(value) {
    if (!Number.isFinite(value)) return value > 0 ? ">1000" : "unknown";
    if (value < 0.01) return "<0.01";
    if (value >= 1000) return ">1000";
    return value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0);
  }

  function percent(value) {
    if (!Number.isFinite(value)) return "unknown";
    if (value >= 0.9995) return ">99.9\u00a0%";
    if (value < 0.0005) return "<0.1\u00a0%";
    return `${(100 * value).toFixed(1)}\u00a0%`;
  }

  return {
    Z95, answer, beyond, erfc, fitPareto, likelihood, logSumExp, normalCdf, normalDensity,
    patientsIn, percent, ratio, reweight, smooth, smoothedWeights, summary, ticks, update,
    weightedQuantiles,
  };
})();
