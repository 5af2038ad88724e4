def test_a(crossover_fit, reconstruction_fit, epilepsy_fit, parallel_fit):
    from bayes_msc.diagnostics import diagnose
    from bayes_msc.estimands import summarize
    for f in (crossover_fit, reconstruction_fit, epilepsy_fit, parallel_fit):
        print(f.attrs["refitted"]); print(diagnose(f).to_string()); print(summarize(f).to_string())
