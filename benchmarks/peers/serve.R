# One peer in a process of its own: what is compiled is compiled once, then every line on standard
# input asks for one refit. Lines of ours on standard output begin with "@".

trial <- jsonlite::fromJSON(commandArgs(trailingOnly = TRUE)[1])

say <- function(...) {
  cat("@", ..., "\n", sep = "")
  flush(stdout())
}

# Rows of a trial as the formulas of Stan's packages name them.
rows_of <- function(trial) {
  data.frame(
    count = as.integer(trial$count), one = 1, treated = trial$treated, second = trial$second,
    log_exposure = trial$log_exposure, patient = factor(trial$patient)
  )
}

# refit: function(ask) -> fit; draws: function(fit) -> named list of matrices, chains by draws;
# divergences: function(fit) -> count; take: function(trial), which puts another trial in place of
# the first. Only the refit is timed.
serve <- function(refit, draws, divergences = function(fit) 0,
                  take = function(trial) stop("this peer keeps its first trial")) {
  input <- file("stdin", "r")
  say("ready")
  while (length(line <- readLines(input, n = 1)) > 0) {
    ask <- jsonlite::fromJSON(line)
    if (!is.null(ask$trial)) take(ask$trial)
    start <- proc.time()[["elapsed"]]
    fit <- refit(ask)
    seconds <- proc.time()[["elapsed"]] - start
    answer <- list(seconds = seconds, divergences = divergences(fit), draws = draws(fit))
    jsonlite::write_json(answer, ask$out, digits = NA, auto_unbox = TRUE)
    say("done")
  }
}

# An array of iterations by chains by parameters, as Stan's packages give it, to the shared names.
shared_draws <- function(array, names, patient_sd, overdispersion) {
  of <- function(name) t(array[, , name])
  list(
    log_rate = of(names[1]),
    log_rate_ratio = of(names[2]),
    period_effect = of(names[3]),
    patient_sd = patient_sd(of),
    overdispersion = overdispersion(of)
  )
}

stan_divergences <- function(stanfit) rstan::get_num_divergent(stanfit)
