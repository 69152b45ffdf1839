"""An example of a property may take as long as it takes: how busy the machine is decides over the
200 ms that Hypothesis would allow, and no test of ours asserts times.
"""

from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
