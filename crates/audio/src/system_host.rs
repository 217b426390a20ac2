use std::sync::Arc;

use crate::{AudioHost, CpalHost, Devices, Failed, Fill, OpenError, OpenStream, Take};

/// The machine's sound: on Linux its sound server if there is one, since that alone knows headsets without a wire and the
/// person's default; otherwise what cpal finds.
pub struct SystemHost(Box<dyn AudioHost>);

impl Default for SystemHost {
    fn default() -> Self {
        #[cfg(target_os = "linux")]
        if let Some(server) = crate::PulseHost::connect() {
            return Self(Box::new(server));
        }
        Self(Box::new(CpalHost::default()))
    }
}

impl AudioHost for SystemHost {
    fn devices(&mut self) -> Devices {
        self.0.devices()
    }

    fn watch(&mut self, changed: Arc<dyn Fn() + Send + Sync>) {
        self.0.watch(changed);
    }

    fn open_output(&mut self, device: Option<&str>, fill: Fill, failed: Failed) -> Result<OpenStream, OpenError> {
        self.0.open_output(device, fill, failed)
    }

    fn open_input(&mut self, device: Option<&str>, take: Take, failed: Failed) -> Result<OpenStream, OpenError> {
        self.0.open_input(device, take, failed)
    }
}
